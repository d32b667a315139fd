import Glibc
import Synchronization

/// The descriptor that the log is written to, and what to say when it takes nothing, as on a full disk.
///
/// Every line begins at the start of a line, also after one of which the disk took only a part.
final class LogFile: Sendable {
  /// What the log has to say about itself.
  struct Notice: Sendable, Equatable {
    var level: LogLevel
    var message: String
  }

  private struct State {
    /// Lines that were lost since the last one that was written.
    var lost = 0
    /// The last line was cut off in its middle.
    var isTorn = false
  }

  private let descriptor: CInt
  private let state = Mutex(State())

  init(_ descriptor: CInt) { self.descriptor = descriptor }

  /// Writes one line. Returns a notice to be logged when the writing has begun to fail, or works again.
  func write(_ line: String) -> Notice? {
    let isTorn = state.withLock { $0.isTorn }
    let bytes = Array(((isTorn ? "\n" : "") + line).utf8)
    let (count, code) = write(bytes)
    return state.withLock { state -> Notice? in
      if count == bytes.count {
        let lost = state.lost
        state = State()
        guard lost > 0 else { return nil }
        return Notice(
          level: .warn,
          message: "the log can be written again: \(lost.counted("record")) could not be, and are only in memory")
      }
      if count > 0 { state.isTorn = true }
      state.lost += 1
      guard state.lost == 1 else { return nil }
      return Notice(
        level: .error,
        message:
          "the log cannot be written (\(String(cString: strerror(code)))): records are kept in memory only, see `stoker logs`; make room"
      )
    }
  }

  /// How many of the bytes were taken, and the `errno` when not all of them were.
  private func write(_ bytes: [UInt8]) -> (count: Int, code: CInt) {
    bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let count = Glibc.write(descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return (done, errno) }
        done += count
      }
      return (done, 0)
    }
  }
}
