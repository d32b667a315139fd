/// Lets whole characters through and keeps the beginning of one back until the rest of it comes.
///
/// A model's tokens are bytes, and one character may be spread over several of them. Bytes that can never become a
/// character come out as U+FFFD.
public struct UTF8Gate: Sendable {
  private var held: [UInt8] = []

  public init() {}

  /// Takes the next bytes; returns well-formed UTF-8 that ends at a character's end.
  public mutating func feed(_ bytes: some Collection<UInt8>) -> [UInt8] {
    if held.isEmpty, bytes.allSatisfy({ $0 < 0x80 }) { return Array(bytes) }
    held.append(contentsOf: bytes)
    let complete = held.count - incompleteTail
    let text = String(decoding: held[..<complete], as: UTF8.self)
    held.removeFirst(complete)
    return Array(text.utf8)
  }

  /// The end of the text: what is still held can no longer become a character.
  public mutating func finish() -> [UInt8] {
    defer { held = [] }
    return Array(String(decoding: held, as: UTF8.self).utf8)
  }

  /// Bytes at the end that begin a character without ending it: 0 to 3.
  private var incompleteTail: Int {
    for back in 1...3 where back <= held.count {
      let byte = held[held.count - back]
      if byte & 0xC0 == 0x80 { continue }
      let length =
        switch byte {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
      return back < length ? back : 0
    }
    return 0
  }
}
