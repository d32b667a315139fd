import PluginProtocol

/// One setting that a plugin declares under `config` in its manifest and an operator sets in `config.yaml`.
package struct PluginOption: Sendable, Equatable {
  /// The types a setting can have.
  package enum Kind: String, CaseIterable, Sendable {
    case string
    case integer
    case number
    case boolean
    /// One of ``PluginOption/values``.
    case choice = "enum"
  }
  package var name: String
  package var kind: Kind
  /// The value when the operator sets none; nil leaves the setting out.
  package var defaultValue: JSONValue?
  /// Bounds, both included, of an integer or number.
  package var minimum: Double?
  package var maximum: Double?
  /// The allowed values of an `enum`.
  package var values: [String] = []
  package var summary = ""

  /// The value as the engine will get it, or nil after reporting why it is not acceptable.
  func check(_ node: YAMLNode, path: String, _ collector: DiagnosticCollector) -> JSONValue? {
    switch (kind, node.scalar) {
    case (.string, .string(let text)?):
      return .string(text)
    case (.boolean, .bool(let value)?):
      return .bool(value)
    case (.integer, .int(let value)?):
      return inRange(Double(value), path, node, collector) ? .int(value) : nil
    case (.number, .int(let value)?):
      return inRange(Double(value), path, node, collector) ? .int(value) : nil
    case (.number, .double(let value)?) where value.isFinite:
      return inRange(value, path, node, collector) ? .double(value) : nil
    case (.choice, .string(let text)?):
      if values.contains(text) { return .string(text) }
      let nearest = NearestName.find(text, among: values).map { "; did you mean '\($0)'?" } ?? ""
      collector.error(
        "\(path): \(text.quotedForMessage) is not one of \(values.joined(separator: ", "))\(nearest)", at: node.mark)
      return nil
    default:
      collector.mismatch(path, expected: expected, node)
      return nil
    }
  }

  private var expected: String {
    switch kind {
    case .string: "a text"
    case .integer: "a whole number"
    case .number: "a number"
    case .boolean: "true or false"
    case .choice: "one of \(values.joined(separator: ", "))"
    }
  }

  private func inRange(_ value: Double, _ path: String, _ node: YAMLNode, _ collector: DiagnosticCollector) -> Bool {
    if let minimum, value < minimum {
      collector.error(
        "\(path): \(PluginOption.text(value)) is below the minimum of \(PluginOption.text(minimum))", at: node.mark)
      return false
    }
    if let maximum, value > maximum {
      collector.error(
        "\(path): \(PluginOption.text(value)) is above the maximum of \(PluginOption.text(maximum))", at: node.mark)
      return false
    }
    return true
  }

  private static func text(_ value: Double) -> String { Int64(exactly: value).map(String.init) ?? "\(value)" }
}

extension PluginOption {
  /// Decodes `config` of a manifest.
  static func decode(_ entries: [YAMLEntry], _ collector: DiagnosticCollector) -> [PluginOption] {
    entries.compactMap { entry in
      if entry.key.hasPrefix("x-") { return nil }
      guard isName(entry.key) else {
        collector.error(
          "config: \(entry.key.quotedForMessage) is not a name; "
            + "use a letter followed by at most 63 letters, digits, - or _",
          at: entry.keyMark)
        return nil
      }
      return collector.fields(entry.value, path: "config.\(entry.key)") { decode(entry.key, $0) } ?? nil
    }
  }

  private static func decode(_ name: String, _ fields: YAMLFields) -> PluginOption? {
    fields.require("type", "string, integer, number, boolean or enum")
    let kind = fields.choice("type", Kind.self)
    let bounds = -9.0e15...9.0e15  // beyond, neighbouring whole numbers are one double
    var option = PluginOption(
      name: name, kind: kind ?? .string, minimum: fields.double("minimum", in: bounds),
      maximum: fields.double("maximum", in: bounds), values: fields.strings("values") ?? [],
      summary: fields.line("description", maxLength: 500) ?? "")
    let defaultNode = fields.node("default")
    guard kind != nil else { return nil }
    let isNumeric = option.kind == .integer || option.kind == .number
    if !isNumeric, option.minimum != nil || option.maximum != nil {
      fields.error(option.minimum != nil ? "minimum" : "maximum", "only an integer or a number has bounds; remove it")
    }
    if let minimum = option.minimum, let maximum = option.maximum, minimum > maximum {
      fields.error("minimum", "is above 'maximum'; swap them")
    }
    if option.kind == .choice, option.values.isEmpty {
      fields.error("values", "an enum needs its values; add 'values: [a, b]'")
      return nil
    }
    if option.kind != .choice, !option.values.isEmpty { fields.error("values", "only an enum has values; remove them") }
    if let defaultNode {
      option.defaultValue = option.check(defaultNode, path: fields.place("default"), fields.collector)
    }
    return option
  }

  private static func isName(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, bytes.count <= 64, (first | 0x20 >= 0x61 && first | 0x20 <= 0x7A) else {
      return false
    }
    return bytes.allSatisfy {
      (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == UInt8(ascii: "-")
        || $0 == UInt8(ascii: "_")
    }
  }
}
