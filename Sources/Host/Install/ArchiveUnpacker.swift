import CLinux
import Glibc

/// Writes what an archive holds beneath a new directory that nobody else can open.
///
/// The reader admits only paths that stay beneath it; every file is opened so that the kernel sees to the same.
final class ArchiveUnpacker {
  private let root: String
  private let directory: Int32
  private var output: Int32 = -1
  private var left: Int64 = 0
  private var sinceCheck: Int64 = 0

  /// - Parameter root: an empty directory.
  init(into root: String) throws(InstallError) {
    self.root = root
    directory = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard directory >= 0 else { throw ArchiveUnpacker.failure("open", root, errno) }
  }

  deinit {
    if output >= 0 { close(output) }
    close(directory)
  }

  /// Unpacks an open archive file.
  ///
  /// - Parameter checkpoint: called often; throws to end the unpacking.
  static func unpack(
    _ archive: Int32, into root: String, limits: ArchiveLimits, checkpoint: () throws -> Void
  ) throws {
    let unpacker = try ArchiveUnpacker(into: root)
    var reader = ArchiveReader(limits: limits)
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    while true {
      try checkpoint()
      let count = buffer.withUnsafeMutableBytes { read(archive, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure("read", "the archive", errno) }
      if count == 0 { break }
      try reader.feed(buffer[..<count]) { try unpacker.take($0) }
    }
    try reader.finish { try unpacker.take($0) }
    guard linux_syncfs(unpacker.directory) >= 0 else { throw failure("write", root, errno) }
  }

  private func take(_ event: ArchiveEvent) throws {
    switch event {
    case .directory(let path):
      guard mkdirat(directory, path, 0o755) == 0 else { throw ArchiveUnpacker.failure("make", path, errno) }
    case .file(let path, let isExecutable, let bytes):
      let mode: UInt32 = isExecutable ? 0o755 : 0o644
      let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
      output = linux_openat2(
        directory, path, flags, mode,
        UInt64(LINUX_RESOLVE_BENEATH | LINUX_RESOLVE_NO_SYMLINKS))
      guard output >= 0 else { throw ArchiveUnpacker.failure("make", path, -output) }
      fchmod(output, mode)
      left = bytes
      if bytes == 0 { try endFile() }
    case .contents(let bytes):
      sinceCheck += Int64(bytes.count)
      if sinceCheck >= Int64(FileCopy.stride) {
        sinceCheck = 0
        try FileCopy.checkSpace(root, needed: Int64(FileCopy.stride), floor: InputSettings().keepFree)
      }
      try bytes.withUnsafeBytes { try FileCopy.write($0, to: output) }
      left -= Int64(bytes.count)
      if left == 0 { try endFile() }
    case .link(let path, let target):
      guard symlinkat(target, directory, path) == 0 else { throw ArchiveUnpacker.failure("make", path, errno) }
    }
  }

  private func endFile() throws(InstallError) {
    let status = close(output)
    output = -1
    guard status == 0 else { throw ArchiveUnpacker.failure("write", root, errno) }
  }

  private static func failure(_ what: String, _ path: String, _ code: Int32) -> InstallError {
    InstallError(.failed, "cannot \(what) \(ArchiveError.shown(path)): \(errorText(code))")
  }
}
