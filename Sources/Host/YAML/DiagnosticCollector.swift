/// Gathers what is wrong with one file while it is decoded, so that a person sees all of it at once.
///
/// Decoding functions return nil after they have reported; the caller goes on with the next value and asks at the end
/// whether there were errors.
package final class DiagnosticCollector {
  /// How the file is named in messages.
  package let file: String
  package private(set) var diagnostics: [SourceDiagnostic] = []
  /// True once an error was reported.
  package private(set) var hasErrors = false
  /// Diagnostics kept at most: nobody reads more, and a hostile file could have thousands.
  private static let limit = 50

  package init(file: String) { self.file = file }

  /// Whether more would not be kept: then it is not worth its making.
  package var isFull: Bool { hasErrors && diagnostics.count >= DiagnosticCollector.limit }

  package func error(_ message: String, at mark: YAMLMark) { report(.error, message, at: mark) }

  package func warning(_ message: String, at mark: YAMLMark) { report(.warning, message, at: mark) }

  private func report(_ severity: SourceDiagnostic.Severity, _ message: String, at mark: YAMLMark) {
    // The first error is kept in any case, so that a failure never comes without its reason.
    guard diagnostics.count < DiagnosticCollector.limit || severity == .error && !hasErrors else { return }
    if severity == .error { hasErrors = true }
    diagnostics.append(
      SourceDiagnostic(severity, file: file, line: mark.line, column: mark.column, message: message))
  }

  /// Reports that a value has the wrong type: `concurrency: expected a whole number, found the text 'two'`.
  package func mismatch(_ path: String, expected: String, _ node: YAMLNode) {
    let quoting =
      expected.hasPrefix("a text") && node.scalar.map { if case .string = $0 { false } else { true } } == true
    let hint = quoting && !node.isNull ? "; put it in quotes" : ""
    error("\(path.isEmpty ? "" : path + ": ")expected \(expected), found \(node.typeName)\(hint)", at: node.mark)
  }

  /// Reads a mapping whose keys are all known to `body`; what it did not ask for is an error with the nearest name
  /// that it did ask for. Keys that begin with `x-` are free.
  ///
  /// - Parameter path: the dotted place of the mapping in the file, empty for the file's own.
  /// - Returns: what `body` returned, or nil when the node is not a mapping, which has then been reported.
  package func fields<Value>(_ node: YAMLNode, path: String, _ body: (YAMLFields) -> Value) -> Value? {
    guard let entries = node.mapping else {
      mismatch(path, expected: path.isEmpty ? "a mapping of keys to values" : "a mapping", node)
      return nil
    }
    let fields = YAMLFields(entries: entries, mark: node.mark, path: path, collector: self)
    let value = body(fields)
    fields.reportUnknownKeys()
    return value
  }

  /// The warnings, when there are no errors; otherwise all that was found.
  package func finish() throws(SourceDiagnostics) -> [SourceDiagnostic] {
    if hasErrors { throw SourceDiagnostics(diagnostics) }
    return diagnostics
  }
}
