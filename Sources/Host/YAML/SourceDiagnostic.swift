/// One remark about a file that a person wrote: where, what is wrong, what would be right.
package struct SourceDiagnostic: Error, Sendable, Hashable, CustomStringConvertible {
  /// Whether the file can be used in spite of it.
  package enum Severity: String, Sendable {
    case error
    case warning
  }
  package let severity: Severity
  package let file: String
  /// Counted from 1; 0 when the remark is about the file as a whole.
  package let line: Int
  package let column: Int
  package let message: String

  package init(_ severity: Severity, file: String, line: Int = 0, column: Int = 0, message: String) {
    self.severity = severity
    self.file = file
    self.line = line
    self.column = column
    self.message = message
  }

  package init(_ error: YAMLError) {
    self.init(.error, file: error.file, line: error.line, column: error.column, message: error.message)
  }

  /// `file:line:column: message`, with `warning: ` before the message of a warning.
  package var description: String {
    let place = line > 0 ? "\(file):\(line):\(column)" : file
    return severity == .error ? "\(place): \(message)" : "\(place): warning: \(message)"
  }
}

/// All that is wrong with one file; never empty.
package struct SourceDiagnostics: Error, Sendable, Equatable, CustomStringConvertible {
  package let all: [SourceDiagnostic]

  package init(_ all: [SourceDiagnostic]) { self.all = all }

  /// One diagnostic a line.
  package var description: String { all.map(\.description).joined(separator: "\n") }
}
