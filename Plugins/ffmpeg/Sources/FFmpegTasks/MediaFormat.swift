/// A format that is read here, told by a file's first bytes and never by its name.
///
/// The raw value is the one demuxer of ffmpeg that the file is given to. Formats that name other files, such as
/// playlists, concat scripts, SVG and subtitles, have no case here and are refused.
package enum MediaFormat: String, CaseIterable, Sendable {
  case png = "png_pipe"
  case jpeg = "jpeg_pipe"
  case webp = "webp_pipe"
  case gif
  case mov, matroska, avi, ogg, mpegts, mpeg, flv, asf
  case wav, mp3, aac, flac, aiff, caf, au, amr

  /// Bytes of a file that `init(prefix:)` wants to see.
  package static let prefixBytes = 1024

  /// The formats in words, for messages.
  package static let imageNames = "PNG, JPEG, WEBP or GIF"
  package static let mediaNames =
    "MP4, MOV, Matroska, WEBM, AVI, MPEG, FLV, WMV, GIF, WAV, MP3, AAC, FLAC, Ogg, Opus, AIFF, CAF, AU or AMR"

  package var isImage: Bool { self == .png || self == .jpeg || self == .webp || self == .gif }
  /// A GIF is both an image and a video.
  package var isMedia: Bool { !isImage || self == .gif }

  /// Nil when the bytes are of none of these formats.
  package init?(prefix: [UInt8]) {
    func has(_ text: String, at offset: Int = 0) -> Bool { prefix.dropFirst(offset).starts(with: text.utf8) }
    func has(_ bytes: [UInt8]) -> Bool { prefix.starts(with: bytes) }
    if has([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if has([0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if has("GIF87a") || has("GIF89a") {
      self = .gif
    } else if has("RIFF") || has("RF64") {
      switch true {
      case has("WEBP", at: 8): self = .webp
      case has("WAVE", at: 8): self = .wav
      case has("AVI ", at: 8): self = .avi
      default: return nil
      }
    } else if ["ftyp", "moov", "mdat", "free", "skip", "wide", "pnot"].contains(where: { has($0, at: 4) }) {
      self = .mov
    } else if has([0x1A, 0x45, 0xDF, 0xA3]) {
      self = .matroska
    } else if has([0x00, 0x00, 0x01, 0xBA]) {
      self = .mpeg
    } else if has([0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11]) {
      self = .asf
    } else if has("FORM"), has("AIFF", at: 8) || has("AIFC", at: 8) {
      self = .aiff
    } else if let (_, format) = Self.marks.first(where: { has($0.0) }) {
      self = format
    } else if prefix.count >= 2, prefix[0] == 0xFF, prefix[1] & 0xF6 == 0xF0 {
      self = .aac  // ADTS: twelve bits of sync, then layer 0.
    } else if prefix.count >= 2, prefix[0] == 0xFF, prefix[1] & 0xE0 == 0xE0, prefix[1] & 0x06 != 0 {
      self = .mp3  // Eleven bits of sync, then a layer.
    } else if prefix.count > 376, [0, 188, 376].allSatisfy({ prefix[$0] == 0x47 }) {
      self = .mpegts
    } else {
      return nil
    }
  }

  private static let marks: [(String, MediaFormat)] = [
    ("OggS", .ogg), ("fLaC", .flac), ("ID3", .mp3), ("FLV\u{1}", .flv), ("caff", .caf), (".snd", .au),
    ("#!AMR", .amr),
  ]
}
