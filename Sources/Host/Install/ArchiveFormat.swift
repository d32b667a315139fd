/// What a file is by its first bytes, not by its name.
package enum ArchiveFormat: Sendable, Equatable {
  case tar
  case gzip
  /// A format that is known and not read, by the name that people know it by.
  case unread(String)
  case unknown

  /// Bytes that are needed to tell.
  static let sniffed = 512

  /// - Parameter head: the file's first bytes, ``sniffed`` of them or the whole file.
  static func of(_ head: ArraySlice<UInt8>) -> ArchiveFormat {
    if head.starts(with: [0x1F, 0x8B]) { return .gzip }
    for (magic, name) in unread where head.starts(with: magic) { return .unread(name) }
    if head.count == sniffed, TarHeader.checksumFits(head) { return .tar }
    return .unknown
  }

  private static let unread: [([UInt8], String)] = [
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "xz"), ([0x28, 0xB5, 0x2F, 0xFD], "zstd"),
    (Array("BZh".utf8), "bzip2"), ([0x50, 0x4B, 0x03, 0x04], "zip"), ([0x50, 0x4B, 0x05, 0x06], "zip"),
    ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "7z"), (Array("Rar!".utf8), "rar"), (Array("!<arch>".utf8), "ar"),
  ]
}
