import PluginProtocol

/// The path in a `file:` URL, which is all that a task may name.
package enum FileURL {
  /// Returns the absolute path, percent-decoded.
  ///
  /// - Parameter name: the member, for messages.
  /// - Throws: `bad_input` for any other URL, a host other than `localhost`, or a path that cannot be one.
  package static func path(_ url: String, name: String) throws -> String {
    let scheme = "file://"
    guard url.utf8.count <= 16_384, url.prefix(scheme.count).lowercased() == scheme else {
      throw EngineError(.badInput, "\(name) must be a file: URL; the host fetches every other kind for the engine")
    }
    var rest = url.dropFirst(scheme.count)
    if rest.lowercased().hasPrefix("localhost/") { rest = rest.dropFirst("localhost".count) }
    guard rest.hasPrefix("/"), !rest.contains("?"), !rest.contains("#"), let bytes = decode(rest.utf8),
      !bytes.contains(0), let path = String(validating: bytes, as: UTF8.self)
    else { throw EngineError(.badInput, "\(name) must be a file: URL with an absolute, percent-encoded path") }
    return path
  }

  private static func decode(_ text: Substring.UTF8View) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    Character(Unicode.Scalar(byte)).hexDigitValue.flatMap { UInt8(exactly: $0) }
  }
}
