import Host
import PluginProtocol

/// Turns task flags into the `task` object of a job. Decides everything that can be decided without a worker.
struct TaskBuilder {
  let kind: JobKind
  let flags: TaskFlags
  /// Reads a file (or `-`, stdin) as text.
  let readText: (String) throws -> String
  /// Makes a path absolute, and checks that it leads to a file.
  let locate: (String) throws -> String

  /// Which flags belong to a kind.
  static func flags(of kind: JobKind) -> [String] {
    switch kind {
    case .llm:
      [
        "--prompt", "--prompt-file", "--messages", "--system", "--max-tokens", "--temperature", "--top-p", "--stop",
        "--seed",
      ]
    case .audioSTT:
      ["--file", "--url", "--language", "--translate", "--prompt", "--timestamps", "--vad", "--format"]
    case .audioTTS: ["--text", "--text-file", "--voice", "--speed", "--speaker", "--language", "--format"]
    case .image:
      [
        "--prompt", "--prompt-file", "--negative-prompt", "--width", "--height", "--steps", "--cfg-scale", "--sampler",
        "--seed", "--init-image", "--strength", "--mask", "--ref-image", "--format",
      ]
    case .video:
      [
        "--prompt", "--prompt-file", "--negative-prompt", "--seconds", "--fps", "--width", "--height", "--init-image",
        "--image", "--file", "--seed", "--format",
      ]
    }
  }

  /// The task, with the field names of the wire; what was not given is left out. An input from stdin is
  /// `TaskInput.standardInput`.
  func task() throws -> JSONValue {
    let own = TaskBuilder.flags(of: kind)
    if let stranger = flags.given.first(where: { !own.contains($0) }) {
      throw CLIError.usage("\(stranger) does not belong to \(kind.cliName), which takes \(own.joined(separator: ", "))")
    }
    let readers = flags.readingStandardInput
    if readers.count > 1 {
      throw CLIError.usage("stdin can be read once; give - to one of \(readers.joined(separator: ", ")) only")
    }
    switch kind {
    case .llm: return try llm()
    case .audioSTT: return try speechToText()
    case .audioTTS: return try textToSpeech()
    case .image: return try image()
    case .video: return try video()
    }
  }

  private func llm() throws -> JSONValue {
    .compact([
      "messages": try messages(), "system": JSONValue(flags.system),
      "maxTokens": JSONValue(try within(flags.maxTokens, 1...10_000_000, "--max-tokens")),
      "temperature": JSONValue(try within(flags.temperature, 0...100, "--temperature")),
      "topP": JSONValue(try within(flags.topP, 0...1, "--top-p")),
      "stop": flags.stop.isEmpty ? .null : JSONValue(try stops()), "seed": JSONValue(flags.seed),
    ])
  }

  private func messages() throws -> JSONValue {
    guard let path = flags.messages else {
      return [["role": "user", "content": .string(try prompt())]]
    }
    guard flags.prompt == nil, flags.promptFile == nil else {
      throw CLIError.usage("--messages holds the whole conversation; leave out --prompt and --prompt-file")
    }
    return try TaskBuilder.messages(parsing: try readText(path), from: path)
  }

  /// Reads a conversation: a JSON array of `{role, content}`.
  static func messages(parsing text: String, from path: String) throws -> JSONValue {
    let value: JSONValue
    do {
      value = try JSONValue(parsing: text)
    } catch {
      throw CLIError.usage("\(path) is not JSON: \(error)")
    }
    guard let messages = value.array, !messages.isEmpty else {
      throw CLIError.usage("\(path) must hold a JSON array of {\"role\", \"content\"}, with one message at least")
    }
    for (index, message) in messages.enumerated() {
      guard let role = message["role"]?.string, message["content"]?.string != nil else {
        throw CLIError.usage("\(path): message \(index + 1) must have \"role\" and \"content\", both text")
      }
      guard ["system", "user", "assistant", "tool"].contains(role) else {
        throw CLIError.usage(
          "\(path): message \(index + 1) has the role '\(role)'; use system, user, assistant or tool")
      }
    }
    return value
  }

  private func stops() throws -> [String] {
    guard flags.stop.allSatisfy({ !$0.isEmpty }) else { throw CLIError.usage("--stop must not be empty") }
    return flags.stop
  }

  /// The prompt, from its flag, a file or stdin.
  func prompt() throws -> String {
    try words((flags.prompt, "--prompt"), (flags.promptFile, "--prompt-file"))
  }

  /// The text that the job is about, from a flag, a file or stdin.
  func words(_ said: (value: String?, flag: String), _ file: (value: String?, flag: String)) throws -> String {
    let text: String
    switch (said.value, file.value) {
    case (nil, nil): throw missing("\(said.flag) TEXT or \(file.flag) FILE")
    case (.some, .some): throw CLIError.usage("\(said.flag) and \(file.flag) say the same; leave one out")
    case (.some("-"), nil): text = try readText("-")
    case (.some(let said), nil): text = said
    case (nil, .some(let path)): text = try readText(path)
    }
    guard text.contains(where: { !$0.isWhitespace }) else {
      throw CLIError.usage("\(said.value == nil ? file.flag : said.flag) is empty; \(kind.cliName) needs some text")
    }
    return text
  }

  /// A flag's text as it stands; empty ones are refused.
  func filled(_ value: String?, _ flag: String) throws -> JSONValue {
    guard value != "" else { throw CLIError.usage("\(flag) must not be empty") }
    return JSONValue(value)
  }

  func input(_ text: String?) throws -> JSONValue {
    JSONValue(try text.map { try TaskInput(text: $0).url(locate: locate) })
  }

  func format() throws -> JSONValue { JSONValue(try flags.format.map { try TaskFormats.checked($0, kind) }) }

  func side(_ value: Int?, _ flag: String) throws -> JSONValue {
    JSONValue(try within(value, 16...16_384, flag))
  }

  func within<Number: Comparable>(_ value: Number?, _ range: ClosedRange<Number>, _ flag: String) throws -> Number? {
    guard let value else { return nil }
    guard range.contains(value) else {
      throw CLIError.usage("\(flag) must be from \(range.lowerBound) to \(range.upperBound), not \(value)")
    }
    return value
  }

  func missing(_ what: String) -> CLIError {
    .usage("\(kind.cliName) needs \(what); see --help")
  }
}
