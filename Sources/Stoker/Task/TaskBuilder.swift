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

  /// Which flags belong to a kind; the first ones are those it cannot do without, one of them.
  static func flags(of kind: JobKind) -> [String] {
    switch kind {
    case .llm:
      [
        "--prompt", "--prompt-file", "--messages", "--system", "--max-tokens", "--temperature", "--top-p", "--stop",
        "--seed",
      ]
    case .audioSTT: ["--file", "--language"]
    case .audioTTS: ["--text", "--prompt-file", "--voice", "--speed"]
    case .image: ["--prompt", "--prompt-file", "--width", "--height", "--steps", "--seed", "--format"]
    case .video: ["--prompt", "--prompt-file", "--seconds", "--fps", "--width", "--height", "--format"]
    }
  }

  /// The task, with the field names of the wire; what was not given is left out.
  func task() throws -> JSONValue {
    let own = TaskBuilder.flags(of: kind)
    if let stranger = flags.given.first(where: { !own.contains($0) }) {
      throw CLIError.usage("\(stranger) does not belong to \(kind.cliName), which takes \(own.joined(separator: ", "))")
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

  private func speechToText() throws -> JSONValue {
    guard let file = flags.file else { throw missing("--file PATH") }
    return .compact(["inputUrl": .string(try url(file)), "language": JSONValue(flags.language)])
  }

  private func textToSpeech() throws -> JSONValue {
    .compact([
      "text": .string(try words(flags.text, "--text")), "voice": JSONValue(flags.voice),
      "speed": JSONValue(try within(flags.speed, 0.1...10, "--speed")),
    ])
  }

  private func image() throws -> JSONValue {
    .compact([
      "prompt": .string(try words(flags.prompt, "--prompt")), "width": try side(flags.width, "--width"),
      "height": try side(flags.height, "--height"), "steps": JSONValue(try within(flags.steps, 1...10_000, "--steps")),
      "seed": JSONValue(flags.seed), "ext": JSONValue(try format()),
    ])
  }

  private func video() throws -> JSONValue {
    .compact([
      "prompt": .string(try words(flags.prompt, "--prompt")),
      "seconds": JSONValue(try within(flags.seconds, 0.01...3600, "--seconds")),
      "fps": JSONValue(try within(flags.fps, 1...240, "--fps")), "width": try side(flags.width, "--width"),
      "height": try side(flags.height, "--height"), "ext": JSONValue(try format()),
    ])
  }

  private func messages() throws -> JSONValue {
    guard let path = flags.messages else {
      return [["role": "user", "content": .string(try words(flags.prompt, "--prompt"))]]
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

  /// The text that the job is about, from a flag, a file or stdin.
  private func words(_ given: String?, _ flag: String) throws -> String {
    let text: String
    switch (given, flags.promptFile) {
    case (nil, nil): throw missing("\(flag) TEXT or --prompt-file FILE")
    case (.some, .some): throw CLIError.usage("\(flag) and --prompt-file say the same; leave one out")
    case (.some("-"), nil): text = try readText("-")
    case (.some(let given), nil): text = given
    case (nil, .some(let path)): text = try readText(path)
    }
    guard text.contains(where: { !$0.isWhitespace }) else {
      throw CLIError.usage("\(flag) is empty; \(kind.cliName) needs some text")
    }
    return text
  }

  /// A local file as a URL; URLs of the web stay what they are.
  private func url(_ file: String) throws -> String {
    if file.hasPrefix("https://") || file.hasPrefix("http://") { return file }
    let unreserved = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/".utf8)
    let hex = Array("0123456789ABCDEF".utf8)
    var out = Array("file://".utf8)
    for byte in try locate(file).utf8 {
      if unreserved.contains(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private func stops() throws -> [String] {
    guard flags.stop.allSatisfy({ !$0.isEmpty }) else { throw CLIError.usage("--stop must not be empty") }
    return flags.stop
  }

  private func format() throws -> String? {
    guard let format = flags.format else { return nil }
    guard (1...8).contains(format.utf8.count),
      format.utf8.allSatisfy({ ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) })
    else { throw CLIError.usage("--format must be a file's ending, such as png or mp4, not '\(format)'") }
    return format.lowercased()
  }

  private func side(_ value: Int?, _ flag: String) throws -> JSONValue {
    JSONValue(try within(value, 16...16_384, flag))
  }

  private func within<Number: Comparable>(
    _ value: Number?, _ range: ClosedRange<Number>, _ flag: String
  ) throws -> Number? {
    guard let value else { return nil }
    guard range.contains(value) else {
      throw CLIError.usage("\(flag) must be from \(range.lowerBound) to \(range.upperBound), not \(value)")
    }
    return value
  }

  private func missing(_ what: String) -> CLIError {
    .usage("\(kind.cliName) needs \(what); see --help")
  }
}
