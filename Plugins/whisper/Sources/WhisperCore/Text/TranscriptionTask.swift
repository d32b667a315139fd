public import PluginProtocol

/// A job's task of kind `audio_stt`, checked as far as it can be without the model.
public struct TranscriptionTask: Equatable, Sendable {
  /// Times of segments only, or of each word, too.
  public enum Timestamps: String, Sendable, CaseIterable {
    case segment, word
  }

  /// Absolute path of the recording.
  public var inputPath: String
  /// As it was given, in lower case; nil to detect it.
  public var language: String?
  /// English text from speech in another language.
  public var translate = false
  /// Text to begin in the style of.
  public var prompt: String?
  /// Transcribe only where somebody speaks.
  public var vad = false
  public var timestamps = Timestamps.segment

  /// whisper looks at the last 224 tokens, which are hardly ever this many bytes.
  public static let promptLimit = 4096

  /// Reads a task.
  ///
  /// - Throws: `FieldError` or `EngineError(.badInput)`, each naming the member.
  public init(_ fields: FieldReader) throws {
    inputPath = try InputPath.parse(try fields.requiredString("inputUrl"), member: "\(fields.path).inputUrl")
    if let value = try fields.string("language")?.lowercased(), !value.isEmpty, value != "auto" { language = value }
    translate = try fields.bool("translate") ?? false
    if let value = try fields.string("prompt"), !value.isEmpty {
      guard value.utf8.count <= Self.promptLimit else {
        throw EngineError(
          .badInput,
          "\(fields.path).prompt has \(value.utf8.count) bytes: at most \(Self.promptLimit) are of use to the model")
      }
      // libwhisper's strings end at NUL.
      prompt = value.replacing("\0", with: " ")
    }
    vad = try fields.bool("vad") ?? false
    if let value = try fields.string("timestamps") {
      guard let timestamps = Timestamps(rawValue: value) else {
        throw EngineError(
          .badInput, "\(fields.path).timestamps must be \"segment\" or \"word\", not \"\(value.prefix(64))\"")
      }
      self.timestamps = timestamps
    }
  }

  /// The language as names to look up in order: whole, then without a region (`pt-br`, `pt`).
  public var languageNames: [String] {
    guard let language else { return [] }
    let base = String(language.prefix { $0 != "-" && $0 != "_" })
    return base == language || base.isEmpty ? [language] : [language, base]
  }
}
