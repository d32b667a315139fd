/// The task flags of one command line, as typed; nil, false or empty is not given.
struct TaskFlags: Equatable, Sendable {
  var prompt: String?
  var promptFile: String?
  var negativePrompt: String?
  var messages: String?
  var system: String?
  var maxTokens: Int?
  var temperature: Double?
  var topP: Double?
  var stop: [String] = []
  var seed: UInt64?
  var file: String?
  var url: String?
  var language: String?
  var translate = false
  var timestamps: String?
  var vad = false
  var text: String?
  var textFile: String?
  var voice: String?
  var speed: Double?
  var speaker: String?
  var width: Int?
  var height: Int?
  var steps: Int?
  var cfgScale: Double?
  var sampler: String?
  var initImage: String?
  var strength: Double?
  var mask: String?
  var refImage: String?
  var images: [String] = []
  var format: String?
  var seconds: Double?
  var fps: Int?

  /// The flags that were given, by name.
  var given: [String] {
    let all: [(String, Bool)] = [
      ("--prompt", prompt != nil), ("--prompt-file", promptFile != nil), ("--negative-prompt", negativePrompt != nil),
      ("--messages", messages != nil), ("--system", system != nil), ("--max-tokens", maxTokens != nil),
      ("--temperature", temperature != nil), ("--top-p", topP != nil), ("--stop", !stop.isEmpty),
      ("--seed", seed != nil), ("--file", file != nil), ("--url", url != nil), ("--language", language != nil),
      ("--translate", translate), ("--timestamps", timestamps != nil), ("--vad", vad), ("--text", text != nil),
      ("--text-file", textFile != nil), ("--voice", voice != nil), ("--speed", speed != nil),
      ("--speaker", speaker != nil), ("--width", width != nil), ("--height", height != nil), ("--steps", steps != nil),
      ("--cfg-scale", cfgScale != nil), ("--sampler", sampler != nil), ("--init-image", initImage != nil),
      ("--strength", strength != nil), ("--mask", mask != nil), ("--ref-image", refImage != nil),
      ("--image", !images.isEmpty), ("--format", format != nil), ("--seconds", seconds != nil), ("--fps", fps != nil),
    ]
    return all.filter(\.1).map(\.0)
  }

  /// The flags that ask for stdin, by name.
  var readingStandardInput: [String] {
    let all: [(String, String?)] = [
      ("--prompt", prompt), ("--prompt-file", promptFile), ("--messages", messages), ("--text", text),
      ("--text-file", textFile), ("--file", file), ("--init-image", initImage), ("--mask", mask),
      ("--ref-image", refImage),
    ]
    return all.filter { $0.1 == "-" }.map(\.0) + images.filter { $0 == "-" }.map { _ in "--image" }
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
