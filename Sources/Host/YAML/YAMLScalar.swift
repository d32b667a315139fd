import PluginProtocol

/// What a scalar means by the core schema of YAML 1.2 (section 10.3.2): only plain scalars are anything but text, and
/// `yes`, `no`, `on` and `off` are text.
package enum YAMLScalar: Sendable, Hashable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)

  package init(text: String, isPlain: Bool) {
    guard isPlain else {
      self = .string(text)
      return
    }
    switch text {
    case "", "~", "null", "Null", "NULL": self = .null
    case "true", "True", "TRUE": self = .bool(true)
    case "false", "False", "FALSE": self = .bool(false)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .double(.infinity)
    case "-.inf", "-.Inf", "-.INF": self = .double(-.infinity)
    case ".nan", ".NaN", ".NAN": self = .double(.nan)
    default: self = YAMLScalar.number(text) ?? .string(text)
    }
  }

  /// The number a text is, or nil. A whole number beyond 64 bits becomes a double.
  private static func number(_ text: String) -> YAMLScalar? {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, first < 0x3A, bytes.count <= 64 else { return nil }
    if bytes.count > 2, first == UInt8(ascii: "0") {
      if bytes[1] == UInt8(ascii: "x"), isAll(bytes[2...], isHexDigit) {
        return Int64(text.dropFirst(2), radix: 16).map(YAMLScalar.int)
      }
      if bytes[1] == UInt8(ascii: "o"), isAll(bytes[2...], { (0x30...0x37).contains($0) }) {
        return Int64(text.dropFirst(2), radix: 8).map(YAMLScalar.int)
      }
    }
    var at = first == UInt8(ascii: "-") || first == UInt8(ascii: "+") ? 1 : 0
    let whole = digits(bytes, &at)
    if at == bytes.count, whole > 0 { return Int64(text).map(YAMLScalar.int) ?? Double(text).map(YAMLScalar.double) }
    var fraction = 0
    if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
      at += 1
      fraction = digits(bytes, &at)
    }
    guard whole + fraction > 0 else { return nil }
    if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
      at += 1
      if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
      guard digits(bytes, &at) > 0 else { return nil }
    }
    guard at == bytes.count else { return nil }
    // `1.` is a float in YAML and nothing that Double(_:) reads.
    let readable = text.hasSuffix(".") ? text + "0" : text.replacingDotExponent
    return Double(readable).map(YAMLScalar.double)
  }

  private static func digits(_ bytes: [UInt8], _ at: inout Int) -> Int {
    let start = at
    while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
    return at - start
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
  }

  private static func isAll(_ bytes: ArraySlice<UInt8>, _ test: (UInt8) -> Bool) -> Bool { bytes.allSatisfy(test) }
}

extension String {
  /// `1.e5` as `1.0e5`, which `Double` reads.
  fileprivate var replacingDotExponent: String {
    guard let dot = firstIndex(of: "."), case let next = index(after: dot), next < endIndex else { return self }
    return self[next] == "e" || self[next] == "E" ? self[...dot] + "0" + self[next...] : self
  }
}

extension YAMLNode {
  /// What this scalar means, or nil when this is not a scalar.
  package var scalar: YAMLScalar? {
    if case .scalar(let text, let isPlain) = content { YAMLScalar(text: text, isPlain: isPlain) } else { nil }
  }

  /// True for an empty value, `~` and `null`.
  package var isNull: Bool { scalar == .null }

  /// The same data as JSON. Numbers that JSON lacks (infinities, not-a-number) become null.
  package var json: JSONValue {
    switch content {
    case .scalar(let text, let isPlain):
      switch YAMLScalar(text: text, isPlain: isPlain) {
      case .null: .null
      case .bool(let value): .bool(value)
      case .int(let value): .int(value)
      case .double(let value): JSONValue(value)
      case .string(let value): .string(value)
      }
    case .sequence(let nodes): .array(nodes.map(\.json))
    case .mapping(let entries):
      .object(Dictionary(entries.map { ($0.key, $0.value.json) }, uniquingKeysWith: { first, _ in first }))
    }
  }

  /// How this value's type is called in messages.
  package var typeName: String {
    switch content {
    case .sequence: "a list"
    case .mapping: "a mapping"
    case .scalar(let text, let isPlain):
      switch YAMLScalar(text: text, isPlain: isPlain) {
      case .null: "nothing"
      case .bool: "the boolean \(text)"
      case .int, .double: "the number \(text)"
      case .string: "the text \(text.quotedForMessage)"
      }
    }
  }
}
