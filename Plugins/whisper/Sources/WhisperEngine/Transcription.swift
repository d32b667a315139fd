import CWhisper
import Glibc
import PluginProtocol
import WhisperCore

/// One job's way through the model: sound in blocks, segments out.
///
/// A recording is transcribed in blocks, so that memory does not grow with its length. Segments begin in the first two
/// minutes of a block; the half minute behind them is there because whisper always looks at thirty seconds. The next
/// block begins where the last segment ended, with the text so far as context, as whisper itself goes from window to
/// window. A recording up to a block is transcribed in one go. All calls come from the compute thread.
final class Transcription {
  private static let coveredSamples = 120 * whisperRate
  private static let blockSamples = 150 * whisperRate
  /// whisper leaves shorter rests alone.
  private static let shortest = whisperRate / 10

  private let job: EngineJob
  private let task: TranscriptionTask
  private let model: LoadedModel
  private let settings: ModelSettings
  private let relay: SegmentRelay

  private var source: (any AudioSource)?
  private var speech: SpeechSource?
  private var language: String?
  /// The sample, as the model gets them, that the block in progress begins with.
  private var blockStart = 0
  private var blockSize = 0
  /// How much of the block segments may begin in.
  private var blockCovered = 0
  private var segments: [TranscribedSegment] = []
  /// The end of the last segment of the block in progress, in samples of the block.
  private var blockEnd = 0

  init(
    job: EngineJob, task: TranscriptionTask, model: LoadedModel, settings: ModelSettings, relay: SegmentRelay
  ) throws {
    self.job = job
    self.task = task
    self.model = model
    self.settings = settings
    self.relay = relay
    language = try Self.language(task, model)
    guard !task.vad || model.voice != nil else {
      throw EngineError(
        .badInput,
        "task.vad needs a voice activity model and \(model.id) has none: add a file of role \"vad\" (Silero VAD in ggml "
          + "format) to its catalogue entry, or leave vad out.")
    }
  }

  /// A code that the model knows, or nil to detect it.
  private static func language(_ task: TranscriptionTask, _ model: LoadedModel) throws(EngineError) -> String? {
    guard let wanted = task.language else { return model.info.multilingual ? nil : "en" }
    guard let code = task.languageNames.lazy.compactMap({ swhisper_language($0) }).first.map({ String(cString: $0) })
    else {
      throw EngineError(
        .badInput,
        "task.language \"\(wanted.prefix(64))\" is no language that whisper knows: give a code such as en, "
          + "a name such as english, or auto.")
    }
    guard model.info.multilingual || code == "en" else {
      throw EngineError(
        .badInput,
        "Model \(model.id) knows only English, and task.language is \"\(wanted.prefix(64))\": choose a "
          + "multilingual model.")
    }
    return code
  }

  /// Transcribes the recording; blocks until that is done.
  func run() throws -> Transcript {
    let file = try openAudio(path: task.inputPath, maxSeconds: settings.maxAudioSeconds, job: job)
    defer { file.close() }
    if task.vad, let voice = model.voice { speech = SpeechSource(file, voice: voice, job: job) }
    let source = speech ?? file
    self.source = source

    job.progress(fraction: 0, stage: "transcribing")
    var sound: [Float] = []
    var isLast = false
    while !isLast {
      let goesOn = try source.fill(&sound, to: Self.blockSamples)
      try job.checkCancelled()
      guard sound.count >= Self.shortest else { break }
      isLast = !goesOn && sound.count <= Self.blockSamples
      blockSize = min(sound.count, Self.blockSamples)
      blockCovered = isLast ? blockSize : Self.coveredSamples
      blockEnd = 0
      try transcribe(sound, isFirst: blockStart == 0, isLast: isLast)
      let done = isLast ? blockSize : min(max(blockCovered, blockEnd), blockSize)
      sound.removeFirst(done)
      blockStart += done
    }
    return Transcript(language: language ?? "und", duration: source.secondsRead, segments: segments)
  }

  private func transcribe(_ sound: [Float], isFirst: Bool, isLast: Bool) throws {
    var code: UnsafePointer<CChar>?
    let callbacks = makeCallbacks()
    try withOptionalCString(language) { language in
      // Only the beginning takes the prompt; later blocks go on from the text before them.
      try withOptionalCString(isFirst ? task.prompt : nil) { prompt in
        var options = swhisper_run_options(
          language: language, translate: task.translate, prompt: prompt, words: task.timestamps == .word,
          goes_on: !isFirst, beam_size: Int32(settings.beamSize),
          covered_ms: isLast ? 0 : Int32(Self.coveredSamples / (whisperRate / 1000)))
        try sound.withUnsafeBufferPointer { samples in
          try native { error in
            withUnsafePointer(to: callbacks) { callbacks in
              swhisper_run(model.handle, samples.baseAddress, blockSize, &options, callbacks, &code, error)
            }
          }
        }
      }
    }
    if let code { language = String(cString: code) }
  }

  private func makeCallbacks() -> swhisper_callbacks {
    swhisper_callbacks(
      is_cancelled: { context in context.map { Transcription.at($0).job.isCancelled } ?? false },
      on_segment: { segment, context in
        guard let segment, let context else { return }
        Transcription.at(context).take(segment.pointee)
      },
      on_progress: { fraction, context in
        guard let context else { return }
        Transcription.at(context).report(fraction)
      }, context: Unmanaged.passUnretained(self).toOpaque())
  }

  private static func at(_ context: UnsafeMutableRawPointer) -> Transcription {
    Unmanaged<Transcription>.fromOpaque(context).takeUnretainedValue()
  }
}

// MARK: Segments

extension Transcription {
  private func take(_ segment: swhisper_segment) {
    let start = Int(segment.start) * (whisperRate / 100)
    let end = Int(segment.end) * (whisperRate / 100)
    blockEnd = max(blockEnd, end)
    let floor = segments.last?.end ?? 0
    let from = max(seconds(start, isStart: true), floor)
    let to = max(seconds(end, isStart: false), from)
    var taken = TranscribedSegment(start: from, end: to, text: segment.text.map { String(cString: $0) } ?? "")
    guard !taken.isBlank else { return }
    if task.timestamps == .word { taken.words = words(of: segment, bounds: from...to) }
    segments.append(taken)
    relay.push(taken)
  }

  private func words(of segment: swhisper_segment, bounds: ClosedRange<Double>) -> [TranscribedWord] {
    let tokens = UnsafeBufferPointer(start: segment.tokens, count: segment.token_count).map { token in
      WordAssembler.Token(
        bytes: token.text.map { Array(UnsafeBufferPointer(start: $0, count: strlen($0)).map(UInt8.init(bitPattern:))) }
          ?? [],
        start: seconds(Int(token.start) * (whisperRate / 100), isStart: true),
        end: seconds(Int(token.end) * (whisperRate / 100), isStart: false), probability: Double(token.probability))
    }
    return WordAssembler.words(tokens, language: task.translate ? "en" : language ?? "en", bounds: bounds)
  }

  /// The time in the recording of a sample of the block in progress. Never beyond the block's end.
  private func seconds(_ sample: Int, isStart: Bool) -> Double {
    let sample = blockStart + min(max(sample, 0), blockSize)
    return Double(speech?.map.original(of: sample, isStart: isStart) ?? sample) / Double(whisperRate)
  }

  private func report(_ fraction: Double) {
    let sample = blockStart + Int(fraction * Double(blockCovered))
    let done = Double(speech?.map.original(of: sample, isStart: false) ?? sample) / Double(whisperRate)
    guard let total = source?.expectedSeconds, total > 0 else {
      return job.progress(stage: "transcribing", message: "\(Int(done)) s done")
    }
    job.progress(fraction: min(1, done / total), stage: "transcribing")
  }
}

private func withOptionalCString<Result>(
  _ text: String?, _ body: (UnsafePointer<CChar>?) throws -> Result
) rethrows -> Result {
  guard let text else { return try body(nil) }
  return try text.withCString(body)
}
