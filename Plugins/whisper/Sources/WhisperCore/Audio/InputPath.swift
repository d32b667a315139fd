public import PluginProtocol

/// The file that a task's URL names.
public enum InputPath {
  /// The absolute path of a `file:` URL (RFC 8089) on this machine.
  ///
  /// - Throws: `EngineError(.badInput)` for any other URL: what is on the network was fetched before the engine.
  public static func parse(_ url: String, member: String) throws(EngineError) -> String {
    let prefix = "file:"
    guard url.prefix(prefix.count).lowercased() == prefix else {
      let scheme = url.prefix { $0 != ":" }.prefix(16)
      throw EngineError(
        .badInput, "\(member) must be a file: URL here, not \(scheme):… — the host fetches other inputs for its engines"
      )
    }
    var rest = url.dropFirst(prefix.count)
    if rest.hasPrefix("//") {
      rest = rest.dropFirst(2)
      let host = rest.prefix { $0 != "/" }
      guard host.isEmpty || host.lowercased() == "localhost" else {
        throw EngineError(
          .badInput, "\(member) names the machine \(host.prefix(64)): only files of this one can be read")
      }
      rest = rest.dropFirst(host.count)
    }
    guard rest.hasPrefix("/"), let path = decode(rest), !path.utf8.contains(0) else {
      throw EngineError(.badInput, "\(member) must be a file: URL with an absolute path")
    }
    return path
  }

  private static func decode(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var iterator = text.utf8.makeIterator()
    while let byte = iterator.next() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = iterator.next(), let low = iterator.next(),
        let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
      else { return nil }
      bytes.append(value)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
