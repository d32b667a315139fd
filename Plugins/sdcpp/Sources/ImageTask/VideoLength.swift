import PluginProtocol

/// How long a video is.
public struct VideoLength: Equatable, Sendable {
  public var frames: Int
  public var framesPerSecond: Double

  /// What Wan models were trained on.
  static let usualRate = 16.0
  static let usualSeconds = 2.0

  /// Reads `seconds` and `fps`; the model's rate, if it is above 0, is the default.
  init(_ fields: FieldReader, defaultRate: Double) throws {
    let seconds = try Bounds.seconds.optional(fields, "seconds") ?? 0
    let rate = try Bounds.framesPerSecond.optional(fields, "fps") ?? 0
    framesPerSecond = rate > 0 ? rate : defaultRate > 0 ? defaultRate : Self.usualRate
    let wanted = (seconds > 0 ? seconds : Self.usualSeconds) * framesPerSecond
    // Video models draw four frames at a time after the first.
    frames = max(1, Int(((wanted - 1) / 4).rounded()) * 4 + 1)
    guard frames <= PictureLimits.frames else {
      throw EngineError(
        .badInput,
        "\(fields.path).seconds and fps make \(frames) frames and may make \(PictureLimits.frames): ask for a shorter "
          + "video")
    }
  }
}
