public import PluginProtocol

/// A `file:` URL, which is how the host names an input that it has fetched.
public enum FileURL {
  /// The absolute path that the URL stands for.
  ///
  /// - Parameter name: the task's member, for messages.
  /// - Throws: `bad_input` for every other kind of URL: engines fetch nothing.
  public static func path(_ url: String, name: String) throws(EngineError) -> String {
    let bytes = Array(url.utf8)
    guard url.hasPrefix("file:///"), let path = decoded(bytes[7...]), !path.contains(0),
      let text = String(validating: path, as: UTF8.self)
    else {
      throw EngineError(
        .badInput,
        "\(name) must be a file: URL of an absolute path, not \(url.prefix(80)): the host fetches the others")
    }
    return text
  }

  private static func decoded(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    var rest = bytes
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        result.append(byte)
        continue
      }
      guard rest.count >= 2, let text = String(validating: rest.prefix(2), as: UTF8.self),
        text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }), let value = UInt8(text, radix: 16)
      else { return nil }
      result.append(value)
      rest = rest.dropFirst(2)
    }
    return result
  }
}
