import PluginProtocol

extension ConfigurationEditor {
  /// The text with `value`, which is YAML on one line, at `path`. What comes out may be wrong for texts laid out in
  /// unusual ways; the caller reads it back and compares.
  static func splice(
    _ value: String, at path: [String], root: YAMLNode, text: String, file: String
  ) throws(EditError) -> String {
    let bytes = Array(text.utf8)
    var node = root
    var indent = 0
    for (depth, key) in path.enumerated() {
      let rest = path[depth...]
      if node.isNull {
        let edit = depth == 0 ? bytes.count : nextLine(after: node.mark, in: bytes)
        return edited(bytes, edit..<edit, block(rest, value, indent: indent, after: edit, in: bytes))
      }
      guard let entries = node.mapping else {
        throw EditError(
          message:
            "\(file):\(node.mark.line): '\(path[..<depth].joined(separator: "."))' is \(node.typeName), not a mapping")
      }
      if let entry = entries.first(where: { $0.key == key }) {
        node = entry.value
        indent = entry.keyMark.column - 1 + 2
        continue
      }
      if isFlow(node, in: bytes) {
        let start = YAMLText.offset(of: node.mark, in: bytes)
        let comma = entries.isEmpty ? "" : ", "
        return edited(bytes, start + 1..<start + 1, flow(rest, value) + comma)
      }
      guard let last = entries.last else { break }
      let edit = nextLine(after: lastMark(of: last.value, in: bytes), in: bytes)
      return edited(bytes, edit..<edit, block(rest, value, indent: last.keyMark.column - 1, after: edit, in: bytes))
    }
    return try replaced(node, by: value, path: path, bytes: bytes, file: file)
  }

  private static func replaced(
    _ node: YAMLNode, by value: String, path: [String], bytes: [UInt8], file: String
  ) throws(EditError) -> String {
    let start = YAMLText.offset(of: node.mark, in: bytes)
    let end = YAMLText.offset(of: node.end, in: bytes)
    if node.mapping != nil || node.sequence != nil, !isFlow(node, in: bytes) {
      let place = "\(file):\(node.mark.line)"
      throw EditError(
        message: "\(place): '\(path.joined(separator: "."))' is \(node.typeName) over several lines; edit it by hand")
    }
    let needsBlank = start > 0 && bytes[start - 1] == UInt8(ascii: ":")
    return edited(bytes, start..<max(start, end), (needsBlank ? " " : "") + value)
  }

  private static func edited(_ bytes: [UInt8], _ range: Range<Int>, _ text: String) -> String {
    String(decoding: bytes[..<range.lowerBound] + Array(text.utf8) + bytes[range.upperBound...], as: UTF8.self)
  }

  /// `a: {b: 1}` for a path of two.
  private static func flow(_ path: ArraySlice<String>, _ value: String) -> String {
    path.dropLast().map { "\(written($0)): {" }.joined() + "\(written(path.last ?? "")): \(value)"
      + String(repeating: "}", count: path.count - 1)
  }

  /// A name as a key of the file, in quotes where it needs them.
  private static func written(_ name: String) -> String { JSONValue.string(name).yamlFlowText }

  /// The path as nested lines, beginning on a line of its own.
  private static func block(
    _ path: ArraySlice<String>, _ value: String, indent: Int, after offset: Int, in bytes: [UInt8]
  ) -> String {
    var out = offset > 0 && bytes[offset - 1] != UInt8(ascii: "\n") ? "\n" : ""
    for (depth, key) in path.enumerated() {
      let blanks = String(repeating: " ", count: indent + depth * 2)
      out += depth + 1 == path.count ? "\(blanks)\(written(key)): \(value)\n" : "\(blanks)\(written(key)):\n"
    }
    return out
  }

  /// Where the last scalar or flow collection of a value ends. A block collection's own end lies after the comments
  /// that follow it.
  private static func lastMark(of node: YAMLNode, in bytes: [UInt8]) -> YAMLMark {
    if isFlow(node, in: bytes) { return node.end }
    return switch node.content {
    case .mapping(let entries): entries.last.map { lastMark(of: $0.value, in: bytes) } ?? node.end
    case .sequence(let nodes): nodes.last.map { lastMark(of: $0, in: bytes) } ?? node.end
    case .scalar: node.end
    }
  }

  /// Whether a value is written `{...}` or `[...]`.
  private static func isFlow(_ node: YAMLNode, in bytes: [UInt8]) -> Bool {
    if case .scalar = node.content { return false }
    let start = YAMLText.offset(of: node.mark, in: bytes)
    return start < bytes.count && (bytes[start] == UInt8(ascii: "[") || bytes[start] == UInt8(ascii: "{"))
  }

  /// The start of the line after the one a mark lies on; the mark's own line when it lies at its start.
  private static func nextLine(after mark: YAMLMark, in bytes: [UInt8]) -> Int {
    let offset = YAMLText.offset(of: mark, in: bytes)
    if mark.column == 1 { return offset }
    return bytes[offset...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
  }
}
