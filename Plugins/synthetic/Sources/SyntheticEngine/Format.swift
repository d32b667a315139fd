import PluginProtocol

/// The format that a task asks its file to have.
enum Format {
  /// The task's `ext` when it is one of `known`; the first of them when the task does not say.
  ///
  /// - Throws: `bad_input` for any other: a file must not be something else than what was asked for, unsaid.
  static func read(_ fields: FieldReader, known: [String]) throws -> String {
    guard let ext = try fields.string("ext") else { return known[0] }
    guard known.contains(ext) else {
      throw EngineError(.badInput, "task.ext must be \(known.joined(separator: " or ")), not \"\(ext.prefix(32))\"")
    }
    return ext
  }
}
