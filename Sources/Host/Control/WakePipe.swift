import CLinux
import Glibc
import Synchronization

/// Interrupts a thread that waits in `poll`. Lives as long as anybody might still ring it, so that a late ring never
/// reaches a descriptor of somebody else.
final class WakePipe: Sendable {
  let readEnd: CInt
  private let writeEnd: CInt
  private let rung = Atomic<Bool>(false)

  init() throws(ControlError) {
    var ends: [CInt] = [-1, -1]
    // Close-on-exec from its first moment: another thread may start an engine right now.
    let result = linux_pipe(&ends)
    guard result >= 0 else { throw .system(doing: "open", path: "a pipe", code: -result) }
    for end in ends { Descriptor.prepare(end) }
    (readEnd, writeEnd) = (ends[0], ends[1])
  }

  deinit {
    close(readEnd)
    close(writeEnd)
  }

  /// Makes the next, or the current, `poll` return. Many rings before it does so are one.
  func ring() {
    guard !rung.exchange(true, ordering: .acquiringAndReleasing) else { return }
    var byte: UInt8 = 1
    _ = write(writeEnd, &byte, 1)
  }

  /// Takes the ring; what was done before it is visible afterwards.
  func clear() {
    var bytes: (UInt64, UInt64) = (0, 0)
    _ = read(readEnd, &bytes, 16)
    rung.store(false, ordering: .sequentiallyConsistent)
  }
}

/// What every descriptor of the control socket's server needs.
enum Descriptor {
  /// Close-on-exec and non-blocking.
  static func prepare(_ descriptor: CInt) {
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  /// The user at the other end of a Unix socket; nil when the system does not say.
  static func peerUser(_ descriptor: CInt) -> uid_t? {
    // `struct ucred` of <sys/socket.h>: pid, uid, gid.
    var credentials: (pid_t, uid_t, gid_t) = (0, 0, 0)
    var length = socklen_t(MemoryLayout<(pid_t, uid_t, gid_t)>.size)
    let status = getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length)
    return status == 0 && length == 12 ? credentials.1 : nil
  }
}
