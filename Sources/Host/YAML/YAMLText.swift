/// Places in the bytes of a text.
enum YAMLText {
  /// The offset of the first byte that is not part of valid UTF-8, or nil when all of it is valid.
  static func firstInvalidUTF8(_ bytes: [UInt8]) -> Int? {
    if String(validating: bytes, as: UTF8.self) != nil { return nil }
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    var offset = 0
    while true {
      switch decoder.decode(&iterator) {
      case .scalarValue(let scalar): offset += UTF8.width(scalar)
      case .emptyInput: return nil
      case .error: return offset
      }
    }
  }

  /// Line and column, in characters, of a byte offset.
  static func mark(of offset: Int, in bytes: some Sequence<UInt8>) -> YAMLMark {
    var line = 1
    var column = 1
    for byte in bytes.prefix(offset) {
      if byte == UInt8(ascii: "\n") {
        line += 1
        column = 1
      } else if byte & 0xC0 != 0x80 {
        column += 1
      }
    }
    return YAMLMark(line: line, column: column)
  }

  /// The offset of the byte at which the character of a mark begins, at most the number of bytes.
  static func offset(of mark: YAMLMark, in bytes: some Collection<UInt8>) -> Int {
    var line = 1
    var column = 1
    var offset = 0
    for byte in bytes {
      if byte & 0xC0 != 0x80, line > mark.line || line == mark.line && column >= mark.column { return offset }
      if byte == UInt8(ascii: "\n") {
        line += 1
        column = 1
      } else if byte & 0xC0 != 0x80 {
        column += 1
      }
      offset += 1
    }
    return offset
  }

  /// The byte some bytes before or after a mark, or nil outside the text.
  static func byte(at mark: YAMLMark, offset: Int, in bytes: UnsafeBufferPointer<UInt8>) -> UInt8? {
    let index = self.offset(of: mark, in: bytes) + offset
    return bytes.indices.contains(index) ? bytes[index] : nil
  }

  /// Whether the character at a mark, or the blank before it on the same line's indentation, is a tab.
  static func isTab(at mark: YAMLMark, in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    var line = 1
    var column = 1
    var onlyBlanks = true
    for byte in bytes {
      if line == mark.line {
        if byte == UInt8(ascii: "\t"), column == mark.column || (onlyBlanks && column < mark.column) { return true }
        if column >= mark.column { return false }
        if byte != UInt8(ascii: " ") && byte != UInt8(ascii: "\t") { onlyBlanks = false }
      }
      if byte == UInt8(ascii: "\n") {
        line += 1
        column = 1
        onlyBlanks = true
      } else if byte & 0xC0 != 0x80 {
        column += 1
      }
      if line > mark.line { return false }
    }
    return false
  }
}

extension String {
  /// This text between single quotes for a message: at most 64 characters, control characters made visible, so that
  /// a hostile file cannot write to the reader's terminal.
  package var quotedForMessage: String {
    var out = "'"
    for scalar in unicodeScalars.prefix(64) {
      switch scalar.value {
      case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0x202A...0x202E, 0x2066...0x2069, 0xFEFF:
        out += "\\u{\(String(scalar.value, radix: 16))}"
      default:
        out.unicodeScalars.append(scalar)
      }
    }
    return out + (unicodeScalars.count > 64 ? "…'" : "'")
  }
}
