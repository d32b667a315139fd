/// The place of a value in a configuration file, as one writes it on a command line: names separated by dots, and in
/// double quotes a name that holds anything else, as in `residency."*.gguf".pin`.
enum ConfigurationKey {
  /// Names at most.
  private static let maxDepth = 16
  /// Bytes of one name in quotes at most.
  private static let maxQuoted = 200

  /// The names, outermost first; nil when the text is no such place.
  static func names(_ text: String) -> [String]? {
    var names: [String] = []
    var rest = Substring(text)
    while names.count < maxDepth {
      let name: Substring
      if rest.first == "\"" {
        guard let end = rest.dropFirst().firstIndex(of: "\"") else { return nil }
        name = rest[rest.index(after: rest.startIndex)..<end]
        rest = rest[rest.index(after: end)...]
        guard isQuotable(name) else { return nil }
      } else {
        name = rest.prefix { $0 != "." }
        rest = rest[name.endIndex...]
        guard isPlain(name) else { return nil }
      }
      names.append(String(name))
      guard let dot = rest.first else { return names }
      guard dot == "." else { return nil }
      rest.removeFirst()
    }
    return nil
  }

  private static func isPlain(_ name: Substring) -> Bool {
    !name.isEmpty && !name.hasPrefix("-")
      && name.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == UInt8(ascii: "-")
          || $0 == UInt8(ascii: "_")
      }
  }

  private static func isQuotable(_ name: Substring) -> Bool {
    (1...maxQuoted).contains(name.utf8.count) && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
  }
}
