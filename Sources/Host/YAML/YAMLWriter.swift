import PluginProtocol

extension JSONValue {
  /// This value as a YAML document for people: two spaces an indent, members sorted by name, ended by a line break.
  package var yamlText: String {
    var out = ""
    switch self {
    case .object(let members) where !members.isEmpty: writeBlock(indent: "", to: &out)
    case .array(let elements) where !elements.isEmpty: writeBlock(indent: "", to: &out)
    default: out = yamlFlowText + "\n"
    }
    return out
  }

  /// This value as YAML on one line.
  package var yamlFlowText: String {
    switch self {
    case .string(let text): JSONValue.yamlScalar(text)
    case .array(let elements): "[" + elements.map(\.yamlFlowText).joined(separator: ", ") + "]"
    case .object(let members):
      "{"
        + members.sorted { $0.key < $1.key }
        .map { "\(JSONValue.yamlScalar($0.key)): \($0.value.yamlFlowText)" }.joined(separator: ", ") + "}"
    default: text
    }
  }

  private func writeBlock(indent: String, to out: inout String) {
    switch self {
    case .object(let members) where !members.isEmpty:
      for (key, value) in members.sorted(by: { $0.key < $1.key }) {
        out += "\(indent)\(JSONValue.yamlScalar(key)):"
        if case .object(let inner) = value, !inner.isEmpty {
          out += "\n"
          value.writeBlock(indent: indent + "  ", to: &out)
        } else {
          out += " \(value.yamlFlowText)\n"
        }
      }
    case .array(let elements):
      for element in elements { out += "\(indent)- \(element.yamlFlowText)\n" }
    default:
      out += "\(indent)\(yamlFlowText)\n"
    }
  }

  /// A text as a scalar: plain where nobody can read it as anything else, otherwise in JSON's double quotes, which
  /// YAML reads the same way.
  private static func yamlScalar(_ text: String) -> String {
    let isSafe = text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"),
        UInt8(ascii: "+"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    // Words that readers of YAML 1.1 take for booleans are quoted for their sake.
    let isWord11 = ["y", "n", "yes", "no", "on", "off"].contains(text.lowercased())
    let isPlain = isSafe && !isWord11 && !text.hasPrefix("-") && YAMLScalar(text: text, isPlain: true) == .string(text)
    return isPlain ? text : JSONValue.string(text).text
  }
}
