import PluginProtocol

/// The content of a `data:` URL (RFC 2397), base64 or percent-encoded.
struct DataURL {
  let bytes: [UInt8]

  struct Malformed: Error, Equatable {
    let reason: String
  }

  /// - Throws: `Malformed`, without any of the URL in its reason.
  init(_ text: String) throws(Malformed) {
    let all = Array(text.utf8)
    guard all.count >= 5, String(decoding: all[..<5], as: UTF8.self).lowercased() == "data:" else {
      throw Malformed(reason: "it does not begin with data:")
    }
    guard let comma = all.firstIndex(of: UInt8(ascii: ",")) else { throw Malformed(reason: "it has no comma") }
    let head = String(decoding: all[5..<comma], as: UTF8.self).lowercased()
    guard let content = FileURL.percentDecoded(all[(comma + 1)...]) else {
      throw Malformed(reason: "a % is not followed by two hexadecimal digits")
    }
    guard head.split(separator: ";", omittingEmptySubsequences: false).dropFirst().last == "base64" else {
      bytes = content
      return
    }
    guard let decoded = Base64.decode(content) else { throw Malformed(reason: "its base64 is broken") }
    bytes = decoded
  }
}

/// Base64 (RFC 4648, section 4), strict: no other characters, and padding only where it belongs.
enum Base64 {
  private static let values: [UInt8] = {
    var table = [UInt8](repeating: 0xFF, count: 256)
    for (value, byte) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8.enumerated() {
      table[Int(byte)] = UInt8(value)
    }
    return table
  }()
  private static let pad = UInt8(ascii: "=")
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// The decoded bytes, or nil. Padding may be left out altogether.
  static func decode(_ text: [UInt8]) -> [UInt8]? {
    var end = text.count
    if end % 4 == 0, end > 0, text[end - 1] == pad { end -= text[end - 2] == pad ? 2 : 1 }
    guard end % 4 != 1 else { return nil }
    let whole = end / 4
    var isBroken = false
    let out = [UInt8](unsafeUninitializedCapacity: whole * 3 + 2) { out, filled in
      values.withUnsafeBufferPointer { values in
        text.withUnsafeBufferPointer { text in
          // The sign that stands for no value has the high bit set, and no value has: one look at all four together.
          var position = 0
          while position < whole * 4 {
            let (a, b) = (values[Int(text[position])], values[Int(text[position + 1])])
            let (c, d) = (values[Int(text[position + 2])], values[Int(text[position + 3])])
            if (a | b | c | d) & 0x80 != 0 { isBroken = true }
            out[filled] = a << 2 | b >> 4
            out[filled + 1] = b << 4 | c >> 2
            out[filled + 2] = c << 6 | d
            filled += 3
            position += 4
          }
          guard end > position else { return }
          let (a, b) = (values[Int(text[position])], values[Int(text[position + 1])])
          let c = end - position == 3 ? values[Int(text[position + 2])] : 0
          out[filled] = a << 2 | b >> 4
          filled += 1
          // Bits that no byte takes must be zero: otherwise two texts would mean the same bytes.
          if (a | b | c) & 0x80 != 0 || (end - position == 3 ? c & 3 : b & 15) != 0 { isBroken = true }
          guard end - position == 3 else { return }
          out[filled] = b << 4 | c >> 2
          filled += 1
        }
      }
    }
    return isBroken ? nil : out
  }

  /// The text of some bytes, padded.
  static func encode(_ bytes: [UInt8]) -> String {
    let count = (bytes.count + 2) / 3 * 4
    let out = [UInt8](unsafeUninitializedCapacity: count) { out, filled in
      digits.withUnsafeBufferPointer { digits in
        bytes.withUnsafeBufferPointer { bytes in
          var position = 0
          while position < bytes.count {
            let left = bytes.count - position
            let (a, b) = (bytes[position], left > 1 ? bytes[position + 1] : 0)
            let c = left > 2 ? bytes[position + 2] : 0
            out[filled] = digits[Int(a >> 2)]
            out[filled + 1] = digits[Int(a << 4 & 0x30 | b >> 4)]
            out[filled + 2] = left > 1 ? digits[Int(b << 2 & 0x3C | c >> 6)] : pad
            out[filled + 3] = left > 2 ? digits[Int(c & 0x3F)] : pad
            filled += 4
            position += 3
          }
        }
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
