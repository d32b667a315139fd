import Glibc
import PluginProtocol

/// A file that is read by its descriptor, so that what was checked is what is read. Closed when it goes.
struct RegularFile: ~Copyable {
  let descriptor: CInt
  let bytes: UInt64
  /// What messages call it.
  let name: String

  /// Opens a file; never waits, as for a FIFO in its place.
  init(_ path: String, name: String) throws(EngineError) {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      throw EngineError(.badInput, "\(name) cannot be opened: \(String(cString: strerror(errno))).")
    }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(file)
      throw EngineError(.badInput, "\(name) is not a regular file.")
    }
    descriptor = file
    bytes = UInt64(status.st_size)
    self.name = name
  }

  deinit { close(descriptor) }

  /// Reads up to `count` bytes from `offset`; fewer only at the end.
  func read(_ count: Int, at offset: UInt64 = 0) throws(EngineError) -> [UInt8] {
    var failure: CInt = 0
    let data = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let rest = buffer.baseAddress.map { $0 + filled }
        let got = pread(descriptor, rest, count - filled, off_t(offset) + off_t(filled))
        if got < 0, errno == EINTR { continue }
        if got < 0 { failure = errno }
        guard got > 0 else { break }
        filled += got
      }
    }
    guard failure == 0 else {
      throw EngineError(.engineFault, "\(name) cannot be read: \(String(cString: strerror(failure))).")
    }
    return data
  }
}
