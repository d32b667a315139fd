/// Why a file is not acceptable YAML, and where.
package struct YAMLError: Error, Sendable, Equatable, CustomStringConvertible {
  package let file: String
  /// Counted from 1; 0 when the trouble is with the file as a whole (missing, too large, not a regular file).
  package let line: Int
  /// Counted from 1, in characters; 0 with line 0.
  package let column: Int
  package let message: String

  package init(file: String, line: Int, column: Int, message: String) {
    self.file = file
    self.line = line
    self.column = column
    self.message = message
  }

  package init(file: String, at mark: YAMLMark, message: String) {
    self.init(file: file, line: mark.line, column: mark.column, message: message)
  }

  /// `file:line:column: message`, or `file: message` when there is no place in the file.
  package var description: String { line > 0 ? "\(file):\(line):\(column): \(message)" : "\(file): \(message)" }
}
