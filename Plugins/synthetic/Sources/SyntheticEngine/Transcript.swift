import PluginProtocol

/// A transcript in whisper's shape that names the input's address by its hash. Nothing is opened or fetched.
struct Transcript: Sendable {
  private let text: String
  private let language: String

  /// - Parameter input: what the host says of `inputUrl`: its URL at submission is what counts, not where its copy lies.
  init(_ fields: FieldReader, input: JobInput?) throws {
    let url = try fields.requiredString("inputUrl")
    let original = input.map(\.urlSHA256).flatMap { $0.utf8.count == 64 ? String($0.prefix(16)) : nil }
    text = "[synthetic] transcript of \(original ?? Fingerprint(of: [url]).short)"
    language = try fields.string("language") ?? "en"
    guard language.utf8.count <= 64 else {
      throw EngineError(.badInput, "task.language must be a language code such as en")
    }
  }

  var result: JobRunResult {
    JobRunResult(
      output: ["text": .string(text), "language": .string(language), "duration": 1.0], usage: ["audioSeconds": 1.0])
  }
}
