/// `file:` URLs (RFC 8089) as tasks carry them: an absolute local path, percent-encoded, without a host.
public enum FileURL {
  /// The URL of an absolute path. Every byte but letters, digits and `-._~/` is percent-encoded.
  public static func text(path: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out = Array("file://".utf8)
    for byte in path.utf8 {
      if isPlain(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// The absolute path that a `file:` URL names. Whether anything is there is not looked at.
  ///
  /// - Parameter field: what the caller calls the URL, `task.inputUrl` for instance; it begins every message.
  /// - Throws: `bad_input` for any other scheme, a host, a relative path, a query, a fragment, broken percent-encoding, a
  ///   NUL, or bytes that are not UTF-8. The URL itself is not repeated: it may hold a secret.
  public static func path(_ url: String, field: String) throws(EngineError) -> String {
    func bad(_ reason: String) -> EngineError { EngineError(.badInput, "\(field) \(reason)") }
    let bytes = Array(url.utf8)
    guard bytes.count >= 5, String(decoding: bytes[..<5], as: UTF8.self).lowercased() == "file:" else {
      throw bad("must be a file: URL: an engine fetches nothing over the network")
    }
    var rest = bytes[5...]
    if rest.starts(with: [slash, slash]) {
      rest = rest.dropFirst(2)
      guard rest.first == slash else { throw bad("must be a file: URL without a host: file:///path") }
    }
    guard rest.first == slash else { throw bad("must be a file: URL with an absolute path: file:///path") }
    guard !rest.contains(UInt8(ascii: "?")), !rest.contains(UInt8(ascii: "#")) else {
      throw bad("must not have a query or a fragment: write ? as %3F and # as %23")
    }
    guard let decoded = percentDecoded(rest) else { throw bad("has a % that two hexadecimal digits do not follow") }
    guard !decoded.contains(0) else { throw bad("names a path with a NUL") }
    guard let path = String(validating: decoded, as: UTF8.self) else { throw bad("names a path that is not UTF-8") }
    return path
  }

  /// The bytes with each `%XX` resolved, or nil when one is broken.
  public static func percentDecoded(_ bytes: some Sequence<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    var iterator = bytes.makeIterator()
    while let byte = iterator.next() {
      guard byte == UInt8(ascii: "%") else {
        out.append(byte)
        continue
      }
      guard let high = iterator.next().flatMap(nibble), let low = iterator.next().flatMap(nibble) else { return nil }
      out.append(high << 4 | low)
    }
    return out
  }

  private static let slash = UInt8(ascii: "/")

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "~"), UInt8(ascii: "/"):
      true
    default: false
    }
  }

  private static func nibble(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
