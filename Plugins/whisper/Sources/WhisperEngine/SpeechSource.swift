import CWhisper
import PluginProtocol
import WhisperCore

/// The speech of a recording with the silence taken out, and the way back to the recording's times.
final class SpeechSource: AudioSource {
  /// Sound looked at together. Speech at its end that may go on waits for the next piece.
  private static let pieceSamples = 60 * whisperRate
  /// Kept behind each stretch, and put as silence between two: what whisper.cpp itself does.
  private static let tailSamples = whisperRate / 10

  private let inner: any AudioSource
  private let voice: OpaquePointer
  private let job: EngineJob
  private var recording: [Float] = []
  /// The sample of the recording that `recording` begins with.
  private var recordingStart = 0
  private var hasEnded = false
  /// Samples handed out.
  private var produced = 0
  private(set) var map = SpeechMap()

  init(_ inner: any AudioSource, voice: OpaquePointer, job: EngineJob) {
    self.inner = inner
    self.voice = voice
    self.job = job
  }

  var expectedSeconds: Double? { inner.expectedSeconds }
  var secondsRead: Double { inner.secondsRead }

  func fill(_ buffer: inout [Float], to count: Int) throws -> Bool {
    while buffer.count < count, !hasEnded {
      let goesOn = try inner.fill(&recording, to: recording.count + Self.pieceSamples)
      try takeSpeech(into: &buffer, isLast: !goesOn)
      hasEnded = !goesOn
    }
    return !hasEnded
  }

  func close() { inner.close() }

  private func takeSpeech(into buffer: inout [Float], isLast: Bool) throws {
    let stretches = try findSpeech()
    var taken = recording.count
    if !isLast, let last = stretches.last, last.upperBound + 2 * Self.tailSamples > recording.count,
      last.lowerBound > 0, recording.count < 4 * Self.pieceSamples
    {
      taken = last.lowerBound
    }
    for (index, stretch) in stretches.enumerated() where stretch.lowerBound < taken {
      let next = index + 1 < stretches.count ? stretches[index + 1].lowerBound : recording.count
      let end = min(stretch.upperBound + Self.tailSamples, next, taken)
      if produced > 0 {
        buffer.append(contentsOf: repeatElement(0, count: Self.tailSamples))
        produced += Self.tailSamples
      }
      map.append(at: produced, original: recordingStart + stretch.lowerBound, length: end - stretch.lowerBound)
      buffer.append(contentsOf: recording[stretch.lowerBound..<end])
      produced += end - stretch.lowerBound
    }
    recording.removeFirst(taken)
    recordingStart += taken
  }

  private func findSpeech() throws -> [Range<Int>] {
    guard !recording.isEmpty else { return [] }
    let search = Search(job)
    try recording.withUnsafeBufferPointer { samples in
      try native { error in
        swhisper_voice_find(
          voice, samples.baseAddress, samples.count,
          { context in context.map { Search.at($0).job.isCancelled } ?? false },
          { start, end, context in
            guard let context else { return }
            Search.at(context).stretches.append(start..<end)
          }, Unmanaged.passUnretained(search).toOpaque(), error)
      }
    }
    return search.stretches
  }

  /// What the native side's callbacks get.
  private final class Search {
    let job: EngineJob
    var stretches: [Range<Int>] = []

    init(_ job: EngineJob) { self.job = job }

    static func at(_ context: UnsafeMutableRawPointer) -> Search {
      Unmanaged<Search>.fromOpaque(context).takeUnretainedValue()
    }
  }
}
