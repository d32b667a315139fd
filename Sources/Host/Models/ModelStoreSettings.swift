import Glibc

/// What a model store may be told, and what tests replace.
package struct ModelStoreSettings: Sendable {
  /// Time without any byte after which a download fails.
  package var stallTimeout: Duration = .seconds(60)
  /// Connections that may break, each after some bytes, before a pull gives up.
  package var resumeLimit = 5
  /// A PEM file of certificate authorities to trust instead of the system's.
  package var certificateAuthorities: String?
  /// What pip sees, apart from what begins with `STOKER_`; its configuration is the user's.
  package var environment: [String: String]
  /// Bytes of disk that a download leaves free, at least; `reservePercent` of what is written may be more.
  package var keepFree: Int64
  /// Bytes that a directory's file system has left for this user.
  package var freeSpace: @Sendable (_ directory: String) throws -> Int64 = { try ModelStoreSettings.free(in: $0) }

  package init(environment: [String: String], keepFree: Int64 = 0) {
    self.environment = environment
    self.keepFree = keepFree
  }

  /// Room that must be left over, in percent of what is written.
  package static let reservePercent: Int64 = 10

  /// - Throws: `ModelError` of kind `diskFull`, with both numbers, when there is less than needed and a reserve.
  func checkSpace(needed: Int64, free: Int64) throws(ModelError) {
    guard needed > 0 else { return }
    let reserve = max(needed / 100 * Self.reservePercent, keepFree)
    let wanted = needed.addingReportingOverflow(reserve)
    if wanted.overflow || free < wanted.partialValue {
      throw ModelError(
        .diskFull,
        "the download needs \(FileFault.size(wanted.overflow ? .max : wanted.partialValue)) "
          + "(\(FileFault.size(reserve)) of it in reserve), but only \(FileFault.size(free)) are free; "
          + "free some space or move the models directory")
    }
  }

  /// Looks at the room that is left once in a while, for a file of undeclared size, which must not fill the disk.
  func watchSpace(of part: PartFile, gaining count: Int, in directory: String) throws {
    guard part.cap == nil, part.count % (16 << 20) < Int64(count) else { return }
    try checkSpace(needed: 64 << 20, free: freeSpace(directory))
  }

  private static func free(in directory: String) throws(ModelError) -> Int64 {
    var status = statvfs()
    guard statvfs(directory, &status) == 0 else { throw FileFault.error("look at", directory) }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return overflow ? .max : Int64(clamping: bytes)
  }
}
