import PluginProtocol

/// Options inside a task for trying progress, streaming and cancel. They never change the result.
struct TrialOptions: Sendable {
  /// Upper bound of `delaySeconds`.
  static let maximumDelaySeconds = 3600.0
  /// Upper bound of `steps` and `chunks`: each costs a message.
  static let maximumCount = 10_000
  /// Steps when a delay is asked for and `steps` is not.
  static let defaultSteps = 10

  /// How long the job takes, spread evenly over its steps.
  let delay: Duration
  /// Parts that the delay is divided into, 1 or more.
  let steps: Int
  /// True when each step is reported.
  let reportsSteps: Bool
  /// Pieces that the text is streamed in, 0 for none; nil when the task does not say. Only for `llm`.
  let chunks: Int?
  /// True when the answer is to be empty and immediate. Only for `llm`.
  let isNoop: Bool

  /// Throws `bad_input` that names the field when a value is out of range.
  init(_ fields: FieldReader, kind: String) throws {
    let seconds = try fields.double("delaySeconds") ?? 0
    guard (0...Self.maximumDelaySeconds).contains(seconds) else {
      throw EngineError(.badInput, "task.delaySeconds must be from 0 to \(Int(Self.maximumDelaySeconds))")
    }
    delay = .seconds(seconds)
    // An image task that says 0 steps has not chosen.
    let stated = try Self.count(fields, "steps", from: kind == "image" ? 0 : 1)
    let wanted = stated == 0 ? nil : stated
    steps = wanted ?? (seconds > 0 ? Self.defaultSteps : 1)
    reportsSteps = wanted != nil || seconds > 0
    chunks = try Self.count(fields, "chunks", from: 0)
    isNoop = try fields.bool("noop") ?? false
    guard kind == "llm" || (chunks == nil && !isNoop) else {
      throw EngineError(.badInput, "task.\(isNoop ? "noop" : "chunks") is for the kind llm, not for \(kind.prefix(64))")
    }
  }

  private static func count(_ fields: FieldReader, _ key: String, from least: Int) throws -> Int? {
    guard let value = try fields.int(key) else { return nil }
    guard (least...maximumCount).contains(value) else {
      throw EngineError(.badInput, "\(fields.path).\(key) must be from \(least) to \(maximumCount)")
    }
    return value
  }
}
