/// What a file is by its first bytes, whatever its name or its sender says.
struct MediaKind: Equatable {
  /// The ending of the file's name, without a dot.
  let ending: String
  let contentType: String

  /// How many of a file's first bytes are worth looking at.
  static let headBytes = 64
  static let unknown = MediaKind("bin", "application/octet-stream")

  private init(_ ending: String, _ contentType: String) {
    self.ending = ending
    self.contentType = contentType
  }

  /// - Parameter head: The first `headBytes` bytes, or all when there are fewer.
  init(head: [UInt8]) {
    func has(_ text: String, at offset: Int = 0) -> Bool { head.dropFirst(offset).starts(with: text.utf8) }
    self =
      if has("RIFF"), has("WAVE", at: 8) {
        MediaKind("wav", "audio/wav")
      } else if has("RIFF"), has("WEBP", at: 8) {
        MediaKind("webp", "image/webp")
      } else if head.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
        MediaKind("png", "image/png")
      } else if head.starts(with: [0xFF, 0xD8, 0xFF]) {
        MediaKind("jpg", "image/jpeg")
      } else if has("GIF87a") || has("GIF89a") {
        MediaKind("gif", "image/gif")
      } else if has("OggS") {
        MediaKind("ogg", "audio/ogg")
      } else if has("fLaC") {
        MediaKind("flac", "audio/flac")
      } else if has("ftyp", at: 4) {
        Self.isoMedia(brand: Array(head.dropFirst(8).prefix(4)))
      } else if head.starts(with: [0x1A, 0x45, 0xDF, 0xA3]) {
        Self.matroska(head)
      } else if has("BM"), head.count >= 26, head[6..<10].allSatisfy({ $0 == 0 }) {
        MediaKind("bmp", "image/bmp")
      } else if has("ID3") || Self.isMPEGAudio(head) {
        MediaKind("mp3", "audio/mpeg")
      } else {
        Self.unknown
      }
  }

  /// ISO base media (MP4 and its relatives) by its major brand.
  private static func isoMedia(brand: [UInt8]) -> MediaKind {
    switch String(decoding: brand, as: UTF8.self) {
    case "M4A ", "M4B ": MediaKind("m4a", "audio/mp4")
    case "qt  ": MediaKind("mov", "video/quicktime")
    default: MediaKind("mp4", "video/mp4")
    }
  }

  /// The document's type stands as text near the beginning of the EBML header.
  private static func matroska(_ head: [UInt8]) -> MediaKind {
    String(decoding: head, as: UTF8.self).contains("webm")
      ? MediaKind("webm", "video/webm") : MediaKind("mkv", "video/x-matroska")
  }

  /// Eleven bits of sync, a version that exists, layer III, and neither a bad bit rate nor a bad sampling rate.
  private static func isMPEGAudio(_ head: [UInt8]) -> Bool {
    guard head.count >= 3, head[0] == 0xFF, head[1] & 0xE0 == 0xE0 else { return false }
    return head[1] & 0x18 != 0x08 && head[1] & 0x06 == 0x02 && head[2] & 0xF0 != 0xF0 && head[2] & 0x0C != 0x0C
  }
}
