/// The task flags of one command line, as typed; nil or empty is not given.
struct TaskFlags: Equatable, Sendable {
  var prompt: String?
  var promptFile: String?
  var messages: String?
  var system: String?
  var maxTokens: Int?
  var temperature: Double?
  var topP: Double?
  var stop: [String] = []
  var seed: UInt64?
  var file: String?
  var language: String?
  var text: String?
  var voice: String?
  var speed: Double?
  var width: Int?
  var height: Int?
  var steps: Int?
  var format: String?
  var seconds: Double?
  var fps: Int?

  /// The flags that were given, by name.
  var given: [String] {
    let all: [(String, Bool)] = [
      ("--prompt", prompt != nil), ("--prompt-file", promptFile != nil), ("--messages", messages != nil),
      ("--system", system != nil), ("--max-tokens", maxTokens != nil), ("--temperature", temperature != nil),
      ("--top-p", topP != nil), ("--stop", !stop.isEmpty), ("--seed", seed != nil), ("--file", file != nil),
      ("--language", language != nil), ("--text", text != nil), ("--voice", voice != nil), ("--speed", speed != nil),
      ("--width", width != nil), ("--height", height != nil), ("--steps", steps != nil), ("--format", format != nil),
      ("--seconds", seconds != nil), ("--fps", fps != nil),
    ]
    return all.filter(\.1).map(\.0)
  }
}

/// What belongs to a job whatever its kind.
struct JobFlags: Equatable, Sendable {
  var model: String?
  var priority: Int?
  /// A number of seconds, or a duration such as `10m`.
  var deadline: String?
  var idempotencyKey: String?
  /// `KEY=VALUE`.
  var labels: [String] = []
}
