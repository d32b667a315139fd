/// The keys of one mapping, taken one by one with their types.
///
/// Every accessor makes its key known, reports a wrong value with its place, and returns nil for a key that is absent
/// or was reported. A key without a value (`name:`) counts as wrong, not as absent. Made by
/// ``DiagnosticCollector/fields(_:path:_:)`` and valid only inside its closure.
package final class YAMLFields {
  package let mark: YAMLMark
  package let path: String
  package let collector: DiagnosticCollector
  private let entries: [YAMLEntry]
  private let index: [String: Int]
  private var known: [String] = []

  init(entries: [YAMLEntry], mark: YAMLMark, path: String, collector: DiagnosticCollector) {
    self.entries = entries
    self.mark = mark
    self.path = path
    self.collector = collector
    index = Dictionary(entries.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The dotted place of a key in the file.
  package func place(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// Reports an error at the value of a key, or at the mapping when the key is absent.
  package func error(_ key: String, _ message: String) {
    collector.error("\(place(key)): \(message)", at: index[key].map { entries[$0].value.mark } ?? mark)
  }

  /// The value of a key as it stands.
  package func node(_ key: String) -> YAMLNode? {
    if !known.contains(key) { known.append(key) }
    return index[key].map { entries[$0].value }
  }

  /// Reports an absent key.
  package func require(_ key: String, _ example: String) {
    if index[key] == nil {
      collector.error(
        "\(path.isEmpty ? "" : path + ": ")the key '\(key)' is missing; add '\(key): \(example)'", at: mark)
    }
  }

  /// A text. Plain numbers, booleans and null are not texts until they are quoted.
  package func string(_ key: String) -> String? {
    guard let node = node(key) else { return nil }
    guard case .string(let text)? = node.scalar else { return mismatch(key, "a text", node) }
    return text
  }

  package func bool(_ key: String) -> Bool? {
    guard let node = node(key) else { return nil }
    guard case .bool(let value)? = node.scalar else { return mismatch(key, "true or false", node) }
    return value
  }

  package func int(_ key: String, in range: ClosedRange<Int>) -> Int? {
    guard let node = node(key) else { return nil }
    guard case .int(let value)? = node.scalar else { return mismatch(key, "a whole number", node) }
    guard let number = Int(exactly: value), range.contains(number) else {
      error(key, "\(value) is out of range; use \(YAMLFields.text(range))")
      return nil
    }
    return number
  }

  package func double(_ key: String, in range: ClosedRange<Double>) -> Double? {
    guard let node = node(key) else { return nil }
    let number: Double
    switch node.scalar {
    case .int(let value)?: number = Double(value)
    case .double(let value)?: number = value
    default: return mismatch(key, "a number", node)
    }
    guard range.contains(number) else {
      error(key, "\(number) is out of range; use \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return number
  }

  /// A length of time such as `10s`.
  package func duration(_ key: String, in range: ClosedRange<Duration> = .zero ... .seconds(315_360_000)) -> Duration? {
    guard let node = node(key) else { return nil }
    guard case .string(let text)? = node.scalar, let value = DurationText.parse(text) else {
      return mismatch(key, "a duration with its unit, such as 500ms, 10s, 5m or 2h", node)
    }
    guard range.contains(value) else {
      error(
        key,
        "\(text) is out of range; use \(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))")
      return nil
    }
    return value
  }

  /// A number of bytes such as `512MiB`.
  package func byteSize(_ key: String, in range: ClosedRange<Int64> = 0...(1 << 60)) -> Int64? {
    guard let node = node(key) else { return nil }
    let value: Int64?
    switch node.scalar {
    case .int(let bytes)?: value = bytes
    case .string(let text)?: value = ByteSize.parse(text)
    default: value = nil
    }
    guard let value else { return mismatch(key, "a size such as 512MiB or 2GB", node) }
    guard range.contains(value) else {
      error(
        key,
        "\(ByteSize.text(value)) is out of range; "
          + "use \(ByteSize.text(range.lowerBound)) to \(ByteSize.text(range.upperBound))"
      )
      return nil
    }
    return value
  }

  /// One of the raw values of an enumeration.
  package func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, _ type: Choice.Type) -> Choice?
  where Choice.RawValue == String {
    guard let node = node(key) else { return nil }
    return choice(node, place(key), type)
  }

  /// A list in which each element is one of the raw values of an enumeration, without repetition.
  package func choices<Choice: RawRepresentable & CaseIterable & Hashable>(
    _ key: String, _ type: Choice.Type
  ) -> [Choice]? where Choice.RawValue == String {
    list(key, of: "names") { node in self.choice(node, self.place(key), type) }
  }

  /// A list of texts.
  package func strings(_ key: String) -> [String]? {
    list(key, of: "texts") { node in
      guard case .string(let text)? = node.scalar else { return self.mismatch(key, "a text", node) }
      return text
    }
  }

  /// A list of whole numbers.
  package func ints(_ key: String, in range: ClosedRange<Int>) -> [Int]? {
    list(key, of: "whole numbers") { node in
      guard case .int(let value)? = node.scalar else { return self.mismatch(key, "a whole number", node) }
      guard let number = Int(exactly: value), range.contains(number) else {
        self.collector.error(
          "\(self.place(key)): \(value) is out of range; use \(YAMLFields.text(range))", at: node.mark)
        return nil
      }
      return number
    }
  }

  /// A list whose elements `element` decodes. Elements for which it returns nil are left out; a repeated element is
  /// an error.
  package func list<Element: Hashable>(
    _ key: String, of what: String, _ element: (YAMLNode) -> Element?
  ) -> [Element]? {
    guard let node = node(key) else { return nil }
    guard let nodes = node.sequence else { return mismatch(key, "a list of \(what)", node) }
    var seen: Set<Element> = []
    return nodes.compactMap { node in
      guard let value = element(node) else { return nil }
      guard seen.insert(value).inserted else {
        collector.error("\(place(key)): \(node.typeName) is listed twice; remove one", at: node.mark)
        return nil
      }
      return value
    }
  }

  /// A list of mappings.
  package func mappings<Value>(_ key: String, _ body: (YAMLFields) -> Value) -> [Value]? {
    guard let node = node(key) else { return nil }
    guard let nodes = node.sequence else { return mismatch(key, "a list of mappings", node) }
    return nodes.enumerated().compactMap { collector.fields($1, path: "\(place(key))[\($0)]", body) }
  }

  /// A mapping with known keys.
  package func mapping<Value>(_ key: String, _ body: (YAMLFields) -> Value) -> Value? {
    guard let node = node(key) else { return nil }
    return collector.fields(node, path: place(key), body)
  }

  /// The entries of a mapping whose keys are free.
  package func entries(_ key: String) -> [YAMLEntry]? {
    guard let node = node(key) else { return nil }
    guard let entries = node.mapping else { return mismatch(key, "a mapping", node) }
    return entries
  }

  func reportUnknownKeys() {
    let known = Set(known)
    for entry in entries where !known.contains(entry.key) && !entry.key.hasPrefix("x-") {
      if collector.isFull { return }
      let message = NearestName.message(unknown: "key", entry.key, among: self.known)
      collector.error(path.isEmpty ? message : "\(path): \(message)", at: entry.keyMark)
    }
  }

  private func choice<Choice: RawRepresentable & CaseIterable>(
    _ node: YAMLNode, _ place: String, _ type: Choice.Type
  ) -> Choice? where Choice.RawValue == String {
    let allowed = Choice.allCases.map(\.rawValue)
    guard case .string(let text)? = node.scalar else {
      collector.mismatch(place, expected: "one of \(allowed.joined(separator: ", "))", node)
      return nil
    }
    if let value = Choice(rawValue: text) { return value }
    let nearest = NearestName.find(text, among: allowed).map { "; did you mean '\($0)'?" } ?? ""
    collector.error(
      "\(place): \(text.quotedForMessage) is not one of \(allowed.joined(separator: ", "))\(nearest)", at: node.mark)
    return nil
  }

  private func mismatch<Value>(_ key: String, _ expected: String, _ node: YAMLNode) -> Value? {
    collector.mismatch(place(key), expected: expected, node)
    return nil
  }

  private static func text(_ range: ClosedRange<Int>) -> String {
    range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
  }
}
