import CLibYAML

/// Bounds on a YAML text, so that a hostile one costs no more than its own length.
package struct YAMLLimits: Sendable {
  /// Greatest size of the text in bytes.
  package var bytes: Int
  /// Greatest nesting of sequences and mappings.
  package var depth: Int
  /// Greatest number of nodes, keys included.
  package var nodes: Int

  package init(bytes: Int, depth: Int = 32, nodes: Int = 20_000) {
    self.bytes = bytes
    self.depth = depth
    self.nodes = nodes
  }

  /// For `plugin.yaml`: 64 KiB, 32 levels (the engine protocol, requirement 3).
  package static let manifest = YAMLLimits(bytes: 64 << 10)
  /// For files of the operator, such as `config.yaml` and `models.yaml`: 4 MiB, 32 levels.
  package static let configuration = YAMLLimits(bytes: 4 << 20, nodes: 500_000)
}

extension YAMLNode {
  /// Reads exactly one YAML document.
  ///
  /// Plain data only: anchors, aliases, tags, directives, several documents, keys that are not scalars and duplicate
  /// keys are errors. An empty document is the null scalar at 1:1.
  /// - Parameter file: how the text is named in errors.
  package init(
    parsing bytes: [UInt8], file: String, limits: YAMLLimits = .configuration
  ) throws(YAMLError) {
    guard bytes.count <= limits.bytes else {
      throw YAMLError(
        file: file, line: 0, column: 0,
        message: "the file is larger than \(ByteSize.text(Int64(limits.bytes))); make it smaller")
    }
    if let offset = YAMLText.firstInvalidUTF8(bytes) {
      throw YAMLError(
        file: file, at: YAMLText.mark(of: offset, in: bytes), message: "not UTF-8 text; save the file as UTF-8")
    }
    let result = bytes.withUnsafeBufferPointer { buffer in
      Result<YAMLNode, YAMLError> { () throws(YAMLError) in
        let parser = EventParser(bytes: buffer, file: file, limits: limits)
        defer { parser.close() }
        return try parser.document()
      }
    }
    self = try result.get()
  }

  /// Reads the file and then its one document; see ``init(parsing:file:limits:)``.
  ///
  /// Only a regular file is read; anything else, and a file over the limit, is an error without a line.
  package init(
    contentsOf path: String, named name: String? = nil, limits: YAMLLimits = .configuration
  ) throws(YAMLError) {
    let contents: SafeFile.Contents
    do {
      contents = try SafeFile.read(path, maxBytes: limits.bytes)
    } catch {
      throw YAMLError(file: name ?? path, line: 0, column: 0, message: error.reason.description)
    }
    try self.init(parsing: contents.bytes, file: name ?? path, limits: limits)
  }
}

/// libyaml's event parser, and the tree that is built from its events.
private final class EventParser {
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let bytes: UnsafeBufferPointer<UInt8>
  private let file: String
  private let limits: YAMLLimits
  private var nodes = 0
  private var event = yaml_event_t()
  private var hasEvent = false
  private let initialized: Bool

  init(bytes: UnsafeBufferPointer<UInt8>, file: String, limits: YAMLLimits) {
    self.bytes = bytes
    self.file = file
    self.limits = limits
    parser = .allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    initialized = yaml_parser_initialize(parser) == 1
    guard initialized else { return }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
  }

  /// Gives the memory back; the parser must not be used afterwards.
  func close() {
    dropEvent()
    if initialized { yaml_parser_delete(parser) }
    parser.deallocate()
  }

  func document() throws(YAMLError) -> YAMLNode {
    guard initialized, bytes.baseAddress != nil else {
      if initialized { return YAMLNode(.scalar(text: "", isPlain: true), at: YAMLMark(line: 1, column: 1)) }
      throw YAMLError(file: file, line: 0, column: 0, message: "no memory is left to read it")
    }
    try advance()  // stream start
    try advance()
    if event.type == YAML_STREAM_END_EVENT {
      return YAMLNode(.scalar(text: "", isPlain: true), at: YAMLMark(line: 1, column: 1))
    }
    if event.data.document_start.version_directive != nil
      || event.data.document_start.tag_directives.start != event.data.document_start.tag_directives.end
    {
      throw error("directives (lines that start with %) are not allowed; remove it")
    }
    try advance()
    let root = try node(depth: 0)
    try advance()  // document end
    try advance()
    guard event.type == YAML_STREAM_END_EVENT else {
      throw error("a second document begins here; keep one document a file (remove '---')")
    }
    return root
  }

  /// Builds the node whose first event is the current one and leaves its last event current.
  private func node(depth: Int) throws(YAMLError) -> YAMLNode {
    nodes += 1
    guard nodes <= limits.nodes else { throw error("more than \(limits.nodes) values; make the file smaller") }
    let mark = YAMLMark(event.start_mark)
    switch event.type {
    case YAML_SCALAR_EVENT:
      return try scalar(at: mark)
    case YAML_SEQUENCE_START_EVENT:
      try refuse(anchor: event.data.sequence_start.anchor, tag: event.data.sequence_start.tag)
      try check(depth: depth + 1)
      var elements: [YAMLNode] = []
      try advance()
      while event.type != YAML_SEQUENCE_END_EVENT {
        elements.append(try node(depth: depth + 1))
        try advance()
      }
      return YAMLNode(.sequence(elements), at: mark, to: YAMLMark(event.end_mark))
    case YAML_MAPPING_START_EVENT:
      try refuse(anchor: event.data.mapping_start.anchor, tag: event.data.mapping_start.tag)
      try check(depth: depth + 1)
      let entries = try entries(depth: depth + 1)
      return YAMLNode(.mapping(entries), at: mark, to: YAMLMark(event.end_mark))
    case YAML_ALIAS_EVENT:
      throw error("aliases (*name) are not allowed; write the value out, or put a pattern in quotes")
    default:
      throw error("a value was expected here")
    }
  }

  private func scalar(at mark: YAMLMark) throws(YAMLError) -> YAMLNode {
    let scalar = event.data.scalar
    try refuse(anchor: scalar.anchor, tag: scalar.tag)
    let text = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
    return YAMLNode(
      .scalar(text: String(decoding: text, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), at: mark,
      to: YAMLMark(event.end_mark))
  }

  private func entries(depth: Int) throws(YAMLError) -> [YAMLEntry] {
    var entries: [YAMLEntry] = []
    var seen: [String: YAMLMark] = [:]
    try advance()
    while event.type != YAML_MAPPING_END_EVENT {
      let key = try node(depth: depth)
      guard case .scalar(let name, _) = key.content else {
        throw YAMLError(file: file, at: key.mark, message: "a key must be a plain word, not a list or a mapping")
      }
      if let first = seen.updateValue(key.mark, forKey: name) {
        throw YAMLError(
          file: file, at: key.mark,
          message: "duplicate key \(name.quotedForMessage), first used on line \(first.line); keep one of them")
      }
      try advance()
      entries.append(YAMLEntry(key: name, keyMark: key.mark, value: try node(depth: depth)))
      try advance()
    }
    return entries
  }

  private func check(depth: Int) throws(YAMLError) {
    guard depth <= limits.depth else { throw error("nested deeper than \(limits.depth) levels; flatten it") }
  }

  private func refuse(
    anchor: UnsafeMutablePointer<yaml_char_t>?, tag: UnsafeMutablePointer<yaml_char_t>?
  ) throws(YAMLError) {
    if anchor != nil { throw error("anchors (&name) are not allowed; write the value out where it is needed") }
    if tag != nil { throw error("tags (!name) are not allowed; write the plain value") }
  }

  private func error(_ message: String) -> YAMLError {
    YAMLError(file: file, at: YAMLMark(event.start_mark), message: message)
  }

  private func dropEvent() {
    if hasEvent { yaml_event_delete(&event) }
    hasEvent = false
  }

  private func advance() throws(YAMLError) {
    dropEvent()
    guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxError() }
    hasEvent = true
  }

  private func syntaxError() -> YAMLError {
    let state = parser.pointee
    let problem = state.problem.map { String(cString: $0) } ?? "not valid YAML"
    if state.error == YAML_READER_ERROR {
      let mark = YAMLText.mark(of: state.problem_offset, in: Array(bytes))
      return YAMLError(file: file, at: mark, message: problem + "; remove it")
    }
    if state.error == YAML_MEMORY_ERROR {
      return YAMLError(file: file, line: 0, column: 0, message: "no memory is left to read it")
    }
    let mark = YAMLMark(state.problem_mark)
    if YAMLText.isTab(at: mark, in: bytes) || problem.contains("tab character") {
      return YAMLError(
        file: file, at: mark, message: "a tab is used for indentation; YAML allows only spaces, so replace it by spaces"
      )
    }
    if problem.contains("alphabetic or numeric"), YAMLText.byte(at: mark, offset: -1, in: bytes) == UInt8(ascii: "*") {
      return YAMLError(file: file, at: mark, message: "a word that begins with * must be put in quotes")
    }
    guard let context = state.context.map({ String(cString: $0) }) else {
      return YAMLError(file: file, at: mark, message: problem)
    }
    let start = state.context_mark.line + 1
    let message = "\(problem) \(context)" + (start == mark.line ? "" : " that begins on line \(start)")
    return YAMLError(file: file, at: mark, message: message)
  }
}

extension YAMLMark {
  /// libyaml counts from 0, in characters.
  fileprivate init(_ mark: yaml_mark_t) { self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1) }
}
