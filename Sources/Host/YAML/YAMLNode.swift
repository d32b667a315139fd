/// A position in a text file, counted as editors count: the first character is line 1, column 1.
package struct YAMLMark: Sendable, Hashable {
  package let line: Int
  package let column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// One value of a YAML document, with the place where it begins.
package struct YAMLNode: Sendable, Hashable {
  /// What a node holds.
  package indirect enum Content: Sendable, Hashable {
    /// Text as written, quotes and folding resolved. `isPlain` is true for an unquoted one: only those can be
    /// numbers, booleans and null.
    case scalar(text: String, isPlain: Bool)
    case sequence([YAMLNode])
    /// In the file's order, without duplicates.
    case mapping([YAMLEntry])
  }
  package let content: Content
  package let mark: YAMLMark
  /// The position after the last character; for a block sequence or mapping somewhere before what follows it.
  package let end: YAMLMark

  package init(_ content: Content, at mark: YAMLMark, to end: YAMLMark? = nil) {
    self.content = content
    self.mark = mark
    self.end = end ?? mark
  }
}

/// One key of a mapping and its value.
package struct YAMLEntry: Sendable, Hashable {
  package let key: String
  package let keyMark: YAMLMark
  package let value: YAMLNode

  package init(key: String, keyMark: YAMLMark, value: YAMLNode) {
    self.key = key
    self.keyMark = keyMark
    self.value = value
  }
}

extension YAMLNode {
  /// The entries, or nil when this is not a mapping.
  package var mapping: [YAMLEntry]? { if case .mapping(let entries) = content { entries } else { nil } }
  /// The elements, or nil when this is not a sequence.
  package var sequence: [YAMLNode]? { if case .sequence(let nodes) = content { nodes } else { nil } }
  /// The value of that key, or nil when it is absent or this is not a mapping.
  package subscript(key: String) -> YAMLNode? { mapping?.first { $0.key == key }?.value }
}
