import PluginProtocol

/// The moving picture of a task: an animated WEBP of eight frames, 256 by 256, that lasts as long as was asked for.
struct Animation: Sendable {
  static let size = 256
  static let frames = 8
  /// Upper bound of `seconds`.
  static let maximumSeconds = 600.0
  /// Members of the task that the pixels do not follow from.
  static let unseen: Set<String> = ["kind", "ext", "delaySeconds", "steps"]

  private let pattern: Pattern
  private let frameMilliseconds: Int

  init(_ fields: FieldReader) throws {
    _ = try fields.requiredString("prompt")
    // Senders fill in `mp4` where nobody has chosen; the output says what the file is.
    _ = try Format.read(fields, known: ["webp", "mp4"])
    let seconds = try fields.double("seconds") ?? 2
    guard seconds > 0, seconds <= Animation.maximumSeconds else {
      throw EngineError(.badInput, "task.seconds must be above 0 and at most \(Int(Animation.maximumSeconds))")
    }
    frameMilliseconds = max(1, Int((seconds * 1000 / Double(Animation.frames)).rounded()))
    pattern = Pattern(Fingerprint(task: fields.value, kind: "video", without: Animation.unseen))
  }

  /// Throws `cancelled` between two frames.
  func result(for job: EngineJob) throws -> JobRunResult {
    let bytes = try ImageCodec.animation(
      size: Animation.size, frames: Animation.frames, frameMilliseconds: frameMilliseconds
    ) { index in
      try job.checkCancelled()
      return pattern.pixels(size: Animation.size, roll: index * Pattern.cells / Animation.frames)
    }
    let artifact = try ArtifactFile.write(
      bytes, name: "video.webp", contentType: "image/webp", in: job.workDirectory)
    return JobRunResult(
      output: [
        "ext": "webp", "width": JSONValue(Animation.size), "height": JSONValue(Animation.size),
        "frames": JSONValue(Animation.frames),
        "duration": .double(Double(Animation.frames * frameMilliseconds) / 1000),
      ], artifacts: [artifact])
  }
}
