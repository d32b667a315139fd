extension JSONValue {
  /// Appends this value as compact JSON: no spaces, no line break, members sorted by name, so that equal values
  /// have equal bytes.
  public func write(to out: inout [UInt8]) {
    switch self {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
    case .int(let value): JSONValue.write(integer: value, to: &out)
    case .uint(let value): out.append(contentsOf: String(value).utf8)
    case .double(let value): out.append(contentsOf: (value.isFinite ? "\(value)" : "null").utf8)
    case .string(let value): JSONValue.write(string: value, to: &out)
    case .array(let elements):
      out.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        element.write(to: &out)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let members):
      out.append(UInt8(ascii: "{"))
      var first = true
      for (key, value) in members.sorted(by: { $0.key < $1.key }) {
        if !first { out.append(UInt8(ascii: ",")) }
        first = false
        JSONValue.write(string: key, to: &out)
        out.append(UInt8(ascii: ":"))
        value.write(to: &out)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  /// This value as compact JSON.
  public var bytes: [UInt8] {
    var out: [UInt8] = []
    write(to: &out)
    return out
  }

  /// This value as compact JSON text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// This value as JSON for people: two spaces an indent, members sorted by name.
  public var prettyText: String {
    var out = ""
    pretty(into: &out, indent: "")
    return out
  }

  private func pretty(into out: inout String, indent: String) {
    let inner = indent + "  "
    switch self {
    case .array(let elements) where !elements.isEmpty:
      out += "[\n"
      for (index, element) in elements.enumerated() {
        out += inner
        element.pretty(into: &out, indent: inner)
        out += index + 1 < elements.count ? ",\n" : "\n"
      }
      out += indent + "]"
    case .object(let members) where !members.isEmpty:
      out += "{\n"
      let sorted = members.sorted { $0.key < $1.key }
      for (index, member) in sorted.enumerated() {
        out += inner + JSONValue.string(member.key).text + ": "
        member.value.pretty(into: &out, indent: inner)
        out += index + 1 < sorted.count ? ",\n" : "\n"
      }
      out += indent + "}"
    default:
      out += text
    }
  }

  private static func write(integer value: Int64, to out: inout [UInt8]) {
    if value >= 0, value < 10 {
      out.append(UInt8(ascii: "0") + UInt8(value))
    } else {
      out.append(contentsOf: String(value).utf8)
    }
  }

  private static func write(string: String, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var copy = string
    copy.withUTF8 { utf8 in
      var start = 0
      for index in 0..<utf8.count {
        let byte = utf8[index]
        guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
        out.append(contentsOf: utf8[start..<index])
        start = index + 1
        out.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): out.append(byte)
        case 0x0A: out.append(UInt8(ascii: "n"))
        case 0x0D: out.append(UInt8(ascii: "r"))
        case 0x09: out.append(UInt8(ascii: "t"))
        default:
          let hex = Array("0123456789abcdef".utf8)
          out.append(contentsOf: [
            UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0"), hex[Int(byte >> 4)], hex[Int(byte & 15)],
          ])
        }
      }
      out.append(contentsOf: utf8[start...])
    }
    out.append(UInt8(ascii: "\""))
  }
}
