/// What an archive may cost whoever unpacks it. All sizes are bytes.
package struct ArchiveLimits: Sendable, Equatable {
  /// The archive itself, as it is stored.
  package var archiveBytes: Int64 = 1 << 30
  /// All of the archive's tar stream: contents, headers and padding.
  package var unpackedBytes: Int64 = 4 << 30
  /// Files, directories and links, the directories that the archive leaves unsaid included.
  package var entries = 20_000
  /// One path; the bytes of all paths together are 8192 times as many at most.
  package var pathBytes = 1024
  /// One component of a path: what Linux takes.
  package var nameBytes = 255
  /// Components of one path.
  package var depth = 32
  /// Inflated bytes for each stored one, once more than ``ratioGrace`` have come out. A gzip stream can reach 1032.
  package var ratio: Int64 = 200
  /// Text that compresses well is no bomb while it is small.
  package var ratioGrace: Int64 = 32 << 20
  /// A pax header or a long name.
  package var headerBytes = 64 << 10

  package init() {}

  /// Bytes of all paths together, which the reader keeps in memory.
  var allPathBytes: Int { pathBytes * 8192 }
}
