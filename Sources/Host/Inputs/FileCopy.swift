import CArtifact
import Glibc
import PluginProtocol

/// Files of the worker's own directories: made, filled and made durable. Everything here blocks.
enum FileCopy {
  /// Bytes between two looks at the disk's free space and at a cancellation.
  static let stride = 16 << 20

  /// Copies a whole open file into a new one: sharing its blocks where the file system can, inside the kernel where
  /// that works, else through memory. What exceeds `limit` is not copied.
  ///
  /// - Returns: Bytes copied; more than `limit` means that the file has more.
  /// - Throws: `InputFailure`, or what `checkpoint` throws, which is called every `stride` bytes.
  static func copy(_ from: Int32, into: Int32, limit: Int64, checkpoint: (Int64) throws -> Void) throws -> Int64 {
    if cartifact_clone(from, into) == 0 { return try size(into) }
    var copied: Int64 = 0
    var usesKernel = true
    while copied <= limit {
      try checkpoint(copied)
      let wanted = Int(min(Int64(stride), limit + 1 - copied))
      if usesKernel {
        let count = cartifact_copy_range(from, into, wanted)
        // A file of /proc has no size and may say 0 here, though it can be read.
        if count > 0 {
          copied += Int64(count)
          continue
        }
        if count < 0, errno == EINTR { continue }
        if count < 0, errno == ENOSPC || errno == EDQUOT { throw InputFailure(errno, doing: "copying an input") }
        if count == 0, copied > 0 { return copied }
        usesKernel = false
      }
      let count = try stream(from, into: into, count: wanted)
      if count == 0 { return copied }
      copied += Int64(count)
    }
    return copied
  }

  private static func stream(_ from: Int32, into: Int32, count: Int) throws -> Int {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, 1 << 18), alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let got = read(from, buffer.baseAddress, buffer.count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else {
        throw InputFailure(.badInput, "an input cannot be read: \(String(cString: strerror(errno)))")
      }
      try write(UnsafeRawBufferPointer(rebasing: buffer[..<got]), to: into)
      return got
    }
  }

  /// Writes all bytes.
  static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(InputFailure) {
    var rest = bytes
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw InputFailure(errno, doing: "writing an input") }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Writes all bytes.
  static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
    try bytes.withUnsafeBytes { buffer in try write(buffer, to: descriptor) }
  }

  /// Opens a directory that another process may put something else in place of.
  ///
  /// - Throws: `resource`; also for a symbolic link.
  static func openDirectory(_ path: String, name: String) throws(InputFailure) -> Int32 {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { throw InputFailure(.resource, "\(name) is gone or was replaced") }
    return descriptor
  }

  /// Makes a new file, mode 0600, lets `fill` write it, and brings it to disk when it must be durable. On an error
  /// nothing is left.
  ///
  /// - Parameter directory: an open one, where `path` is a name in it.
  static func create(
    _ path: String, in directory: Int32 = AT_FDCWD, durable: Bool, _ fill: (Int32) throws -> Void
  ) throws {
    unlinkat(directory, path, 0)
    let descriptor = openat(directory, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw InputFailure(errno, doing: "making a file for an input") }
    var isOpen = true
    do {
      try fill(descriptor)
      if durable, fsync(descriptor) != 0 { throw InputFailure(errno, doing: "writing an input to disk") }
      isOpen = false
      guard close(descriptor) == 0 else { throw InputFailure(errno, doing: "writing an input") }
    } catch {
      if isOpen { close(descriptor) }
      unlinkat(directory, path, 0)
      throw error
    }
  }

  /// Brings the names in a directory to disk.
  static func syncDirectory(_ path: String) throws(InputFailure) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw InputFailure(errno, doing: "writing an input's name to disk") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw InputFailure(errno, doing: "writing an input's name to disk")
    }
  }

  /// Opens a regular file without ever waiting for it, and returns it with its size.
  ///
  /// - Parameter name: what errors call it; each is `bad_input`, because the path is the submitter's.
  static func openRegular(_ path: String, name: String) throws(InputFailure) -> (descriptor: Int32, status: stat) {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw InputFailure(.badInput, "\(name): cannot open \(path): \(String(cString: strerror(errno)))")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw InputFailure(.badInput, "\(name): \(path) is not a regular file")
    }
    return (descriptor, status)
  }

  /// All bytes of an open regular file.
  static func contents(
    _ descriptor: Int32, _ status: stat, limit: Int, name: String
  ) throws(InputFailure) -> [UInt8] {
    let count = Int(status.st_size)
    guard count <= limit else { throw InputFailure(.badInput, "\(name) has \(count) bytes and \(limit) are allowed") }
    let bytes = [UInt8](unsafeUninitializedCapacity: count + 1) { buffer, filled in
      while filled <= count {
        let got = pread(descriptor, buffer.baseAddress.map { $0 + filled }, count + 1 - filled, off_t(filled))
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { return }
        filled += got
      }
    }
    guard bytes.count == count else { throw InputFailure(.badInput, "\(name) changed while it was read") }
    return bytes
  }

  static func size(_ descriptor: Int32) throws(InputFailure) -> Int64 {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw InputFailure(errno, doing: "examining an input") }
    return Int64(status.st_size)
  }

  /// Size of a file by its path; nil when no regular file is there.
  static func size(path: String) -> Int64? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int64(status.st_size)
  }

  /// - Throws: `resource` when the disk of `path` would be left with less than `floor` bytes after `needed` more.
  static func checkSpace(_ path: String, needed: Int64, floor: Int64) throws(InputFailure) {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return }
    let free = Int64(
      clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    let (wanted, overflow) = needed.addingReportingOverflow(floor)
    guard !overflow, free >= wanted else {
      throw InputFailure(
        .resource,
        "the worker's disk has \(FileFault.size(free)) free; the input needs \(FileFault.size(needed)) and "
          + "\(FileFault.size(floor)) stay in reserve: make room and submit again")
    }
  }

  /// The first bytes of a file, for `MediaKind`.
  static func head(_ descriptor: Int32) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: MediaKind.headBytes) { buffer, filled in
      filled = max(0, pread(descriptor, buffer.baseAddress, buffer.count, 0))
    }
  }
}
