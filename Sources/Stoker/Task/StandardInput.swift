import Glibc
import Host

/// Stdin, piece by piece.
enum StandardInput {
  /// The next bytes, as many as were asked for unless it ends before; none at its end.
  ///
  /// Waits off Swift's pool of threads, and ends early when the task is cancelled.
  static func next(_ limit: Int) async throws -> [UInt8] {
    try await onBlockingThread { cancel in
      var bytes = [UInt8](repeating: 0, count: limit)
      var filled = 0
      while filled < limit {
        var wanted = [
          pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
          pollfd(fd: cancel.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        _ = poll(&wanted, 2, -1)
        try cancel.check()
        guard wanted[0].revents != 0 else { continue }
        let count = bytes.withUnsafeMutableBytes {
          read(STDIN_FILENO, $0.baseAddress?.advanced(by: filled), limit - filled)
        }
        if count < 0, errno == EINTR || errno == EAGAIN { continue }
        guard count >= 0 else { throw CLIError.usage("stdin cannot be read: \(String(cString: strerror(errno)))") }
        if count == 0 { break }
        filled += count
      }
      return Array(bytes.prefix(filled))
    }
  }

  /// How much there is, when stdin is a file.
  static func bytesLeft() -> Int64? {
    var status = stat()
    guard fstat(STDIN_FILENO, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    let offset = lseek(STDIN_FILENO, 0, SEEK_CUR)
    return offset >= 0 && offset < status.st_size ? Int64(status.st_size - offset) : nil
  }
}
