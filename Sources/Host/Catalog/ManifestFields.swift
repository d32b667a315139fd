/// Readings that manifests and the configuration share.
extension YAMLFields {
  /// A text of one line: at most `maxLength` characters, not empty, no control characters.
  func line(_ key: String, maxLength: Int) -> String? {
    guard let text = string(key) else { return nil }
    guard (1...maxLength).contains(text.unicodeScalars.count) else {
      error(key, text.isEmpty ? "must not be empty" : "has more than \(maxLength) characters; shorten it")
      return nil
    }
    guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) }) else {
      error(key, "must be one line without control characters")
      return nil
    }
    return text
  }

  /// A whole number, or nil for `auto` and for an absent key.
  func autoOrInt(_ key: String, in range: ClosedRange<Int>) -> Int? {
    guard let node = node(key), node.scalar != .string("auto") else { return nil }
    guard case .int? = node.scalar else {
      collector.mismatch(place(key), expected: "a whole number or auto", node)
      return nil
    }
    return int(key, in: range)
  }

  /// Names of environment variables that a plugin may be given. Those that the host sets itself are refused.
  func environmentNames(_ key: String) -> [String]? {
    list(key, of: "names of environment variables") { node -> String? in
      guard case .string(let name)? = node.scalar, YAMLFields.isEnvironmentName(name) else {
        collector.mismatch(place(key), expected: "the name of an environment variable", node)
        return nil
      }
      guard !YAMLFields.environmentOfTheHost.contains(name) else {
        collector.error("\(place(key)): the host itself sets \(name); remove it", at: node.mark)
        return nil
      }
      return name
    }
  }

  private static let environmentOfTheHost: Set<String> = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"]

  private static func isEnvironmentName(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, bytes.count <= 128, !(0x30...0x39).contains(first) else { return false }
    return bytes.allSatisfy {
      (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == UInt8(ascii: "_")
    }
  }
}
