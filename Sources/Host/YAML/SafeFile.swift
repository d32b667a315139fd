import Glibc

/// Reading files that strangers may have put there: never blocks, never reads anything but a regular file, never reads
/// more than it was told to.
package enum SafeFile {
  /// What was in a file, and which file it was.
  package struct Contents: Sendable {
    package let bytes: [UInt8]
    package let identity: Identity
  }

  /// Which file a path led to. Two equal identities are one file in one version, as far as the file system tells.
  package struct Identity: Sendable, Hashable {
    package let device: UInt64
    package let inode: UInt64
    package let size: Int64
    /// Time of last modification in nanoseconds since 1970.
    package let modified: Int64
    /// Time of the last change of content, name, owner or rights, which nobody can set, in nanoseconds since 1970.
    package let changed: Int64
    /// Permission bits.
    package let mode: UInt32
  }

  /// Why a file was not read.
  package struct ReadError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What stood in the way.
    package enum Reason: Sendable, Equatable, CustomStringConvertible {
      case notFound
      /// The path leads to this instead of a regular file: `directory`, `named pipe`, `device`, `socket`.
      case notRegular(String)
      case tooLarge(limit: Int)
      /// The system said no; an `errno`.
      case system(Int32)

      package var description: String {
        switch self {
        case .notFound: "the file does not exist"
        case .notRegular(let what): "it is a \(what), not a file; put a regular file in its place"
        case .tooLarge(let limit): "the file is larger than \(ByteSize.text(Int64(limit))); make it smaller"
        case .system(let code): "cannot be read: \(String(cString: strerror(code)))"
        }
      }
    }
    package let path: String
    package let reason: Reason

    package var description: String { "\(path): \(reason)" }
  }

  /// Reads a whole file. Symbolic links are followed; what they lead to must be a regular file.
  package static func read(_ path: String, maxBytes: Int) throws(ReadError) -> Contents {
    var bytes: [UInt8] = []
    let identity = try stream(path, maxBytes: maxBytes) { bytes.append(contentsOf: $0) }
    return Contents(bytes: bytes, identity: identity)
  }

  /// Hands a file's bytes to `body` in pieces of at most 64 KiB and returns which file that was.
  package static func stream(
    _ path: String, maxBytes: Int, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ReadError) -> Identity {
    var status = stat()
    // Asked before opening, because merely opening some devices does something.
    guard stat(path, &status) == 0 else { throw failure(path) }
    try requireRegular(status, path)
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { throw failure(path) }
    defer { close(descriptor) }
    guard fstat(descriptor, &status) == 0 else { throw failure(path) }
    try requireRegular(status, path)
    guard status.st_size <= maxBytes else { throw ReadError(path: path, reason: .tooLarge(limit: maxBytes)) }
    var total = 0
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(path)
      }
      if count == 0 { break }
      total += count
      guard total <= maxBytes else { throw ReadError(path: path, reason: .tooLarge(limit: maxBytes)) }
      buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    return Identity(status)
  }

  private static func failure(_ path: String) -> ReadError {
    let code = errno
    return ReadError(path: path, reason: code == ENOENT || code == ENOTDIR ? .notFound : .system(code))
  }

  private static func requireRegular(_ status: stat, _ path: String) throws(ReadError) {
    let what: String
    switch status.st_mode & S_IFMT {
    case S_IFREG: return
    case S_IFDIR: what = "directory"
    case S_IFIFO: what = "named pipe"
    case S_IFSOCK: what = "socket"
    default: what = "device"
    }
    throw ReadError(path: path, reason: .notRegular(what))
  }
}

extension SafeFile.Identity {
  init(_ status: stat) {
    self.init(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
      modified: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec),
      changed: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec),
      mode: UInt32(status.st_mode & 0o7777))
  }
}
