/// One 512-byte header of a tar archive, as POSIX.1-1988 (ustar) and GNU write it.
struct TarHeader {
  static let blockBytes = 512

  let type: UInt8
  /// Name with prefix, as bytes: nobody has said yet that they are UTF-8.
  let path: [UInt8]
  let linkTarget: [UInt8]
  let mode: Int64
  /// Bytes that follow the header.
  let size: Int64

  /// - Parameter block: exactly ``blockBytes`` bytes.
  init(_ block: ArraySlice<UInt8>) throws(ArchiveError) {
    guard TarHeader.checksumFits(block) else {
      throw ArchiveError("the archive is damaged: a header's checksum does not fit")
    }
    let start = block.startIndex
    let field = { (offset: Int, count: Int) in block[(start + offset)..<(start + offset + count)] }
    let name = TarHeader.text(field(0, 100))
    mode = try TarHeader.number(field(100, 8), "mode")
    size = try TarHeader.number(field(124, 12), "size")
    type = block[start + 156]
    linkTarget = TarHeader.text(field(157, 100))
    // GNU's magic ends in spaces, and its prefix field holds times.
    let isUstar = field(257, 6).elementsEqual(Array("ustar\0".utf8))
    let prefix = isUstar ? TarHeader.text(field(345, 155)) : []
    path = prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
  }

  static func isZero(_ block: ArraySlice<UInt8>) -> Bool { block.allSatisfy { $0 == 0 } }

  /// Whether the block's checksum is that of a header.
  static func checksumFits(_ block: ArraySlice<UInt8>) -> Bool {
    guard block.count == blockBytes else { return false }
    let checksum = (block.startIndex + 148)..<(block.startIndex + 156)
    guard let wanted = try? number(block[checksum], "checksum"), wanted > 0 else { return false }
    var sum: Int64 = 0
    for index in block.indices { sum += checksum.contains(index) ? 32 : Int64(block[index]) }
    return sum == wanted
  }

  private static func text(_ field: ArraySlice<UInt8>) -> [UInt8] { Array(field.prefix { $0 != 0 }) }

  /// An octal number between spaces and NUL, or GNU's binary one.
  private static func number(_ field: ArraySlice<UInt8>, _ name: String) throws(ArchiveError) -> Int64 {
    guard let first = field.first else { return 0 }
    var value: Int64 = 0
    if first & 0x80 != 0 {
      // The rest of the first byte, then big-endian; negative ones begin with 0xFF.
      guard first == 0x80 else { throw ArchiveError("the archive is damaged: a header's \(name) is out of range") }
      for byte in field.dropFirst() {
        guard value < 1 << 47 else { throw ArchiveError("the archive is damaged: a header's \(name) is out of range") }
        value = value << 8 | Int64(byte)
      }
      return value
    }
    var isEnded = false
    for byte in field.drop(while: { $0 == UInt8(ascii: " ") }) {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "7") where !isEnded: value = value << 3 | Int64(byte - UInt8(ascii: "0"))
      case UInt8(ascii: " "), 0: isEnded = true
      default: throw ArchiveError("the archive is damaged: a header's \(name) is not a number")
      }
    }
    return value
  }
}
