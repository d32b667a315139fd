import PluginProtocol

/// A transcript in whisper's shape that names the input's address by its hash. Nothing is opened or fetched.
struct Transcript: Sendable {
  private let text: String
  private let language: String

  init(_ fields: FieldReader) throws {
    text = "[synthetic] transcript of \(Fingerprint(of: [try fields.requiredString("inputUrl")]).short)"
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
