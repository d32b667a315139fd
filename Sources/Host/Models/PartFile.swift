import Crypto
import Glibc

/// A file on its way: written as `<filename>.part`, hashed while written, and renamed when it is whole and right.
///
/// Used by one thread at a time.
final class PartFile {
  let path: String
  /// Bytes in the file, all of them hashed.
  private(set) var count: Int64 = 0
  /// Nothing beyond this is written.
  var cap: Int64?
  private let descriptor: Int32
  private var hasher = SHA256()

  /// Opens or creates the file; nothing of an earlier one is kept until `adopt`.
  init(path: String, cap: Int64?) throws(ModelError) {
    self.path = path
    self.cap = cap
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o644)
    guard descriptor >= 0 else { throw FileFault.error("write", path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else {
      close(descriptor)
      throw ModelError(.fileSystem, "\(path) is not a plain file; move it out of the way")
    }
  }

  deinit { close(descriptor) }

  /// Size of what an earlier download left.
  func leftover() throws(ModelError) -> Int64 { try FileStamp.of(descriptor: descriptor, path: path).size }

  /// Keeps what an earlier download left: hashes it, so that the next byte continues it.
  func adopt(progress: (Int64) -> Void, cancel: CancelSignal) throws {
    hasher = SHA256()
    count = try FileHash.update(&hasher, descriptor: descriptor, path: path, progress: progress, cancel: cancel)
    guard lseek(descriptor, off_t(count), SEEK_SET) >= 0 else { throw FileFault.error("write", path) }
  }

  /// Throws everything away.
  func restart() throws(ModelError) {
    guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
      throw FileFault.error("write", path)
    }
    hasher = SHA256()
    count = 0
  }

  /// Writes all of the bytes, or throws; beyond the cap with kind `lengthMismatch`.
  func append(_ bytes: UnsafeRawBufferPointer) throws(ModelError) {
    if let cap, count + Int64(bytes.count) > cap {
      throw ModelError(
        .lengthMismatch, "the file is larger than the \(cap) bytes it is declared to have; nothing beyond was kept")
    }
    var rest = bytes
    while !rest.isEmpty {
      let written = write(descriptor, rest.baseAddress, rest.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw FileFault.error("write", path)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
    hasher.update(bufferPointer: bytes)
    count += Int64(bytes.count)
  }

  /// Lower-case hexadecimal SHA-256 of all bytes so far.
  var sha256: String { FileHash.hex(hasher.finalize()) }

  /// Makes the content durable, gives the file its final name, and makes the name durable.
  func publish(as final: String, directory: String) throws(ModelError) -> FileStamp {
    guard fsync(descriptor) == 0 else { throw FileFault.error("write", path) }
    let stamp = try FileStamp.of(descriptor: descriptor, path: path)
    guard rename(path, final) == 0 else { throw FileFault.error("rename to", final) }
    let parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard parent >= 0 else { throw FileFault.error("open", directory) }
    defer { close(parent) }
    guard fsync(parent) == 0 else { throw FileFault.error("write", directory) }
    return stamp
  }
}

/// SHA-256 of files, in bounded memory and with an end to it.
enum FileHash {
  static func hex(_ digest: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  static func hex(ofText text: String) -> String { hex(SHA256.hash(data: Array(text.utf8))) }

  /// The hash of a regular file and the stamp it had before and after; a file that changes meanwhile is an error.
  static func of(
    path: String, followLinks: Bool, progress: (Int64) -> Void, cancel: CancelSignal
  ) throws -> (sha256: String, stamp: FileStamp) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followLinks ? 0 : O_NOFOLLOW))
    guard descriptor >= 0 else { throw FileFault.error("read", path) }
    defer { close(descriptor) }
    let before = try FileStamp.of(descriptor: descriptor, path: path)
    var hasher = SHA256()
    _ = try update(&hasher, descriptor: descriptor, path: path, progress: progress, cancel: cancel)
    guard try FileStamp.of(descriptor: descriptor, path: path) == before else {
      throw ModelError(.damaged, "\(path) changed while it was being checked; try again when nothing writes to it")
    }
    return (hex(hasher.finalize()), before)
  }

  static func update(
    _ hasher: inout SHA256, descriptor: Int32, path: String, progress: (Int64) -> Void, cancel: CancelSignal
  ) throws -> Int64 {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { buffer.deallocate() }
    var offset: Int64 = 0
    while true {
      try cancel.check()
      let got = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
      if got < 0 {
        if errno == EINTR { continue }
        throw FileFault.error("read", path)
      }
      if got == 0 { return offset }
      hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<got]))
      offset += Int64(got)
      progress(offset)
    }
  }
}
