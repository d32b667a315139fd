import PluginProtocol

/// Serves all five kinds without a model: the result is a function of the task.
///
/// A result that only looks real must never be taken for a real one, so a job is refused unless it names a model
/// whose id starts with `synthetic`.
struct SyntheticEngine<C: Clock>: Engine where C.Duration == Duration {
  /// What every model id that is served here starts with.
  static var modelPrefix: String { "synthetic" }

  let clock: C

  var information: EngineInformation {
    EngineInformation(
      name: "synthetic", version: "0.1.0", features: [.chunks, .progress], concurrency: 8,
      lineBytes: LineFramer.maximumLineBytes)
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    try checkModel(job.modelID)
    let fields = try job.taskFields()
    let options = try TrialOptions(fields, kind: job.kind)
    switch job.kind {
    case "llm":
      if options.isNoop { return JobRunResult() }
      let chat = try Chat(fields)
      try await pace(job, options, pieces: chat.pieces(options.chunks ?? Chat.completionTokens))
      return chat.result
    case "audio_stt":
      let transcript = try Transcript(fields, input: job.parameters.inputs["inputUrl"]?.first)
      try await pace(job, options)
      return transcript.result
    case "audio_tts":
      let tone = try Tone(fields)
      try await pace(job, options)
      return try tone.result(in: job.workDirectory)
    case "image":
      let drawing = try Drawing(FieldReader(OriginalTask.of(job), path: "task"))
      try await pace(job, options)
      return try drawing.result(in: job.workDirectory)
    case "video":
      let animation = try Animation(FieldReader(OriginalTask.of(job), path: "task"))
      try await pace(job, options)
      return try animation.result(for: job)
    default:
      throw EngineError(.unsupported, "the synthetic engine has no kind \"\(job.kind.prefix(64))\"")
    }
  }

  private func checkModel(_ id: String?) throws {
    guard let id else {
      throw EngineError(.unsupported, "name a model: the synthetic engine serves only models called synthetic…")
    }
    guard id.hasPrefix(Self.modelPrefix) else {
      throw EngineError(
        .unsupported, "the synthetic engine serves only models called synthetic…, not \"\(id.prefix(128))\"")
    }
  }

  private func pace(_ job: EngineJob, _ options: TrialOptions, pieces: [String] = []) async throws {
    try await Pacer(clock: clock, options: options).run(job, pieces: pieces)
  }
}
