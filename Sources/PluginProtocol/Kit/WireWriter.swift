import Glibc
import Synchronization

/// Writes whole frames to one descriptor, from any thread.
///
/// The lock is held across the write on purpose: it is what keeps frames whole, and the host always reads.
/// After the first failed write the host is gone and everything else is dropped.
final class WireWriter: Sendable {
  private let descriptor: CInt
  private let open = Mutex(true)

  init(descriptor: CInt) { self.descriptor = descriptor }

  /// Writes one message, unless `condition` is false when its turn has come.
  ///
  /// The condition is asked with the writer held, so what it decides stays true in the order of the wire.
  func send(_ message: Envelope, if condition: () -> Bool = { true }) {
    let frame = message.frame
    open.withLock { open in
      guard open, condition() else { return }
      var offset = 0
      while offset < frame.count {
        let written = frame.withUnsafeBytes { bytes in
          write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
        }
        if written > 0 {
          offset += written
        } else if written < 0, errno == EINTR {
          continue
        } else {
          open = false
          return
        }
      }
    }
  }
}
