/// What an archive turns out to hold, in order. Paths have been checked: relative, beneath the root, `/` between
/// components, no `.` or `..` in them.
package enum ArchiveEvent: Sendable, Equatable {
  /// A directory; its parents have been told of before.
  case directory(path: String)
  /// A regular file; exactly `bytes` bytes of ``contents`` follow, in any number of pieces.
  case file(path: String, isExecutable: Bool, bytes: Int64)
  /// A piece of the latest file.
  case contents(ArraySlice<UInt8>)
  /// A symbolic link whose target, once everything is unpacked, lies beneath the root. Told at the end of the
  /// archive, so that nothing is ever written through one.
  case link(path: String, target: String)
}
