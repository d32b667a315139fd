import PluginProtocol

/// Reads an image's size from its header, so that a picture too large for the machine is never decoded.
package enum ImageHeader {
  /// Reads bytes of the file: offset, count. Returns fewer at its end.
  package typealias Read = (UInt64, Int) throws -> [UInt8]

  /// More segments than this before the frame of a JPEG: not a photo, an attack on the reader.
  private static let maximumSegments = 1000

  /// - Throws: `bad_input` when the header is damaged, or the image is one that ffmpeg cannot decode.
  package static func size(_ format: MediaFormat, read: Read) throws -> PixelSize {
    let found: PixelSize? =
      switch format {
      case .png: try png(read)
      case .jpeg: try jpeg(read)
      case .gif: try gif(read)
      case .webp: try webp(read)
      default: nil
      }
    guard let found, found.width > 0, found.height > 0 else {
      throw EngineError(.badInput, "the image is damaged: its header names no size")
    }
    return found
  }

  private static func png(_ read: Read) throws -> PixelSize? {
    let bytes = try read(0, 24)
    guard bytes.count == 24, bytes[12..<16].elementsEqual("IHDR".utf8) else { return nil }
    return PixelSize(big(bytes[16..<20]), big(bytes[20..<24]))
  }

  private static func gif(_ read: Read) throws -> PixelSize? {
    let bytes = try read(0, 10)
    guard bytes.count == 10 else { return nil }
    return PixelSize(little(bytes[6..<8]), little(bytes[8..<10]))
  }

  /// Walks the segments up to the frame header, which may stand behind long profiles and thumbnails.
  private static func jpeg(_ read: Read) throws -> PixelSize? {
    var offset: UInt64 = 2
    for _ in 0..<maximumSegments {
      let head = try read(offset, 9)
      guard head.count >= 4, head[0] == 0xFF else { return nil }
      switch head[1] {
      case 0xFF:
        offset += 1  // A fill byte.
      case 0x01, 0xD0...0xD7:
        offset += 2  // Without a length.
      case 0xC0...0xCF where ![0xC4, 0xC8, 0xCC].contains(head[1]):
        guard head.count == 9 else { return nil }
        return PixelSize(big(head[7..<9]), big(head[5..<7]))
      case 0xD8...0xDA:
        return nil
      default:
        let length = big(head[2..<4])
        guard length >= 2 else { return nil }
        offset += 2 + UInt64(length)
      }
    }
    return nil
  }

  private static func webp(_ read: Read) throws -> PixelSize? {
    let bytes = try read(0, 30)
    guard bytes.count >= 25 else { return nil }
    switch String(decoding: bytes[12..<16], as: UTF8.self) {
    case "VP8X" where bytes.count == 30:
      guard bytes[20] & 0x02 == 0 else {
        throw EngineError(.badInput, "the image is an animated WEBP, which ffmpeg cannot read: send a still image")
      }
      return PixelSize(little(bytes[24..<27]) + 1, little(bytes[27..<30]) + 1)
    case "VP8 " where bytes.count == 30 && bytes[23..<26].elementsEqual([0x9D, 0x01, 0x2A]):
      return PixelSize(little(bytes[26..<28]) & 0x3FFF, little(bytes[28..<30]) & 0x3FFF)
    case "VP8L" where bytes[20] == 0x2F:
      let bits = little(bytes[21..<25])
      return PixelSize(bits & 0x3FFF + 1, bits >> 14 & 0x3FFF + 1)
    default:
      return nil
    }
  }

  private static func big(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
  private static func little(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }
}
