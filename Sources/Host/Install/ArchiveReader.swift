/// Reads an archive of unknown origin: a tar archive, plain or in gzip, told by its bytes.
///
/// No I/O: it is fed, in pieces of any size, and tells what is in it. It either throws or tells of entries that are safe
/// to be written beneath an empty directory; memory is bounded by its limits whatever the bytes are. After a throw it
/// must not be used.
package struct ArchiveReader {
  private enum Stage {
    case sniffing([UInt8])
    case tar
    case gzip(GzipInflater)
  }

  private let limits: ArchiveLimits
  private var stage = Stage.sniffing([])
  private var tar: TarReader
  private var total: Int64 = 0

  package init(limits: ArchiveLimits = ArchiveLimits()) {
    self.limits = limits
    tar = TarReader(limits: limits)
  }

  /// Takes the archive's next bytes.
  ///
  /// - Parameter tell: gets what they say, in order.
  /// - Throws: `ArchiveError`, or what `tell` throws.
  package mutating func feed(_ bytes: ArraySlice<UInt8>, _ tell: (ArchiveEvent) throws -> Void) throws {
    total += Int64(bytes.count)
    guard total <= limits.archiveBytes else {
      throw ArchiveError("the archive has more than \(ByteSize.text(limits.archiveBytes))")
    }
    switch stage {
    case .sniffing(let earlier):
      let head = earlier + bytes
      guard head.count >= ArchiveFormat.sniffed else {
        stage = .sniffing(head)
        return
      }
      try begin(head, tell)
    case .tar: try tar.feed(bytes, tell)
    case .gzip(let inflater): try inflater.feed(bytes) { try tar.feed($0, tell) }
    }
  }

  /// Says that the archive has no more bytes.
  package mutating func finish(_ tell: (ArchiveEvent) throws -> Void) throws {
    if case .sniffing(let head) = stage {
      guard !head.isEmpty else { throw ArchiveError("the file is empty") }
      try begin(head, tell)
    }
    if case .gzip(let inflater) = stage { try inflater.finish() }
    try tar.finish(tell)
  }

  private mutating func begin(_ head: [UInt8], _ tell: (ArchiveEvent) throws -> Void) throws {
    switch ArchiveFormat.of(head.prefix(ArchiveFormat.sniffed)) {
    case .tar:
      stage = .tar
      try tar.feed(head[...], tell)
    case .gzip:
      let inflater = try GzipInflater(limits: limits)
      stage = .gzip(inflater)
      try inflater.feed(head[...]) { try tar.feed($0, tell) }
    case .unread(let name):
      throw ArchiveError("\(name) archives are not read; pack it as .tar or .tar.gz (tar -czf)")
    case .unknown: throw ArchiveError("it is no archive that is read here: .tar and .tar.gz are")
    }
  }
}
