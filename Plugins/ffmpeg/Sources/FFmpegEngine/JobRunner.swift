import FFmpegTasks
import PluginProtocol

/// Does what a plan says, for one job: writes the files, runs the steps, checks and delivers the result.
struct JobRunner: Sendable {
  var job: EngineJob
  var settings: Settings
  var tools: Tools
  var task: FieldReader

  private static let probePatience = Duration.seconds(60)
  private static let probeBytes = 1 << 20
  /// Room above `maxOutputBytes`: ffmpeg ends a file after the packet that reaches the bound, and may rewrite it.
  private static let slackBytes: UInt64 = 64 << 20

  func run(_ plan: Plan, inputs: [MediaInput]) async throws -> JobRunResult {
    for note in plan.notes + roundings(plan) { job.log(.info, note) }
    return try await ScratchDirectory.with(in: job.workDirectory) { scratch in
      for (name, bytes) in plan.files { try scratch.write(bytes, name: name) }
      if let font = plan.font { try scratch.link(font, name: Plan.fontName) }
      var done = 0.0
      var last = ToolProgress()
      for step in plan.steps {
        last = try await ffmpeg(step, after: done, in: scratch, inputs: inputs)
        done += step.share
      }
      return try await deliver(plan, last, scratch)
    }
  }

  /// Asks ffprobe what is in a file.
  func probe(_ input: MediaInput) async throws -> Probe {
    try await ScratchDirectory.with(in: job.workDirectory) { try await probe(input, in: $0, readsInput: true) }
  }

  private func probe(_ input: MediaInput, in scratch: ScratchDirectory, readsInput: Bool) async throws -> Probe {
    let process = ChildProcess(
      program: tools.ffprobe, arguments: Probe.arguments(input, settings), directory: scratch.path,
      memoryBytes: settings.memoryBytes, fileBytes: 1, patience: Self.probePatience)
    let job = job
    let (report, output) = try await BlockingThread.run {
      var output: [UInt8] = []
      let report = try process.run(isCancelled: { job.isCancelled }) { bytes in
        output += bytes
        return output.count <= Self.probeBytes
      }
      return (report, output)
    }
    switch report.ending {
    case .cancelled: throw EngineError(.cancelled, "the job was cancelled")
    case .tooSlow, .tooMuchOutput:
      throw EngineError(readsInput ? .badInput : .engineFault, "the file has no end to its streams: send a plain one")
    case .finished(.exited(0)): return try Probe(try JSONValue(parsing: output))
    case .finished(let ending):
      throw ToolFailure.error(
        "ffprobe", ending, errors: report.errors, paths: [input.path], readsInput: readsInput)
    }
  }

  private func ffmpeg(
    _ step: PlanStep, after done: Double, in scratch: ScratchDirectory, inputs: [MediaInput]
  ) async throws -> ToolProgress {
    let process = ChildProcess(
      program: tools.ffmpeg, arguments: step.arguments, directory: scratch.path,
      memoryBytes: settings.memoryBytes, fileBytes: settings.maxOutputBytes + Self.slackBytes)
    let job = job
    let (report, last) = try await BlockingThread.run {
      var parser = ProgressParser()
      var last = ToolProgress()
      let report = try process.run(isCancelled: { job.isCancelled }) { bytes in
        guard let now = parser.feed(bytes) else { return true }
        last = now
        job.progress(
          fraction: step.fraction(now).map { min(1, done + step.share * $0) }, step: now.frame, steps: step.frames,
          stage: step.stage, message: now.rate > 0 ? "\(now.rate) frames a second" : nil)
        return true
      }
      return (report, last)
    }
    switch report.ending {
    case .finished(.exited(0)): return last
    case .finished(let ending):
      let paths = inputs.map(\.path) + [scratch.path, job.workDirectory]
      throw ToolFailure.error("ffmpeg", ending, errors: report.errors, paths: paths, readsInput: !inputs.isEmpty)
    case .cancelled, .tooSlow, .tooMuchOutput: throw EngineError(.cancelled, "the job was cancelled")
    }
  }

  private func deliver(_ plan: Plan, _ last: ToolProgress, _ scratch: ScratchDirectory) async throws -> JobRunResult {
    let name = plan.format.fileName
    let bytes = scratch.size(name) ?? 0
    // ffmpeg ends with success when it has reached the bound; the file is then only a beginning.
    guard bytes < settings.maxOutputBytes else {
      throw EngineError(
        .badInput,
        "the result is over \(settings.maxOutputBytes >> 20) MiB (maxOutputMiB): ask for a shorter or smaller one")
    }
    guard bytes > 0, plan.size == nil || last.frame > 0 else {
      throw EngineError(.badInput, "nothing in the input could be decoded, or it is shorter than one frame")
    }
    if let frames = plan.frames, last.frame != frames {
      throw EngineError(.engineFault, "ffmpeg made \(last.frame) frames in place of \(frames)")
    }
    var seconds = plan.rate?.seconds(last.frame)
    if plan.hasSound {
      let format: MediaFormat = plan.format == .webm ? .matroska : .mov
      let made = try await probe(
        MediaInput(path: "\(scratch.path)/\(name)", format: format), in: scratch, readsInput: false)
      seconds = made.seconds ?? seconds
    }
    try job.checkCancelled()
    try scratch.deliver(name, to: job.workDirectory)
    let output: JSONValue = .compact([
      "ext": .string(plan.format.rawValue), "width": JSONValue(plan.size?.width),
      "height": JSONValue(plan.size?.height), "duration": JSONValue(seconds),
      "frames": plan.size == nil ? .null : JSONValue(last.frame), "fps": JSONValue(plan.rate?.value),
      "seed": JSONValue(plan.seed), "method": .string(plan.method),
    ])
    return JobRunResult(
      output: output,
      artifacts: [ArtifactDeclaration(name: name, contentType: plan.format.contentType, bytes: bytes)])
  }

  /// Sides that are not the ones that were asked for.
  private func roundings(_ plan: Plan) -> [String] {
    [("width", plan.size?.width), ("height", plan.size?.height)].compactMap { name, made in
      guard let made, let asked = try? task.int(name), asked != made else { return nil }
      return "\(name) \(asked) was rounded to \(made): sides are even"
    }
  }
}
