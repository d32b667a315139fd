import CLinux
import Glibc
import Synchronization

/// The one thread that starts every child of this process.
///
/// The kernel sends a parent-death signal when the *thread* that made the child ends, and threads of a pool end whenever the
/// pool likes: a child started from one is killed while the host lives. This thread lives as long as the process does.
/// Doing all of it in one place also means that a child is known before anything can look for unknown ones.
final class SpawnThread: Sendable {
  static let shared = SpawnThread()

  private typealias Work = @Sendable () -> Void
  private let queue = Mutex<[Work]>([])
  private let wake: Int32
  /// The error number of the failed start of the thread, or 0.
  private let failure: Int32

  private init() {
    wake = linux_eventfd(0)
    guard wake >= 0 else {
      failure = -wake
      return
    }
    // Orphans whose monitor was killed come to this process instead of init, so that they can be found.
    _ = linux_set_child_subreaper()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 512 * 1024)
    defer { pthread_attr_destroy(&attributes) }
    var thread = pthread_t()
    let wake = self.wake
    failure = pthread_create(&thread, &attributes, { _ in SpawnThread.main() }, nil)
    if failure != 0 { close(wake) }
  }

  private static func main() -> UnsafeMutableRawPointer? {
    linux_name_thread("spawn")
    // `shared` may still be under construction here; reading it waits until it is not.
    let thread = shared
    while true {
      _ = linux_eventfd_wait(thread.wake)
      let work = thread.queue.withLock { queue in
        defer { queue = [] }
        return queue
      }
      for item in work { item() }
    }
  }

  /// Runs `body` on the thread and returns what it returns.
  func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws(SpawnError) -> Value {
    guard failure == 0 else { throw .host(operation: "starting the spawning thread", errno: failure) }
    return await withCheckedContinuation { continuation in
      enqueue { continuation.resume(returning: body()) }
    }
  }

  /// Runs `body` on the thread some time later.
  func submit(_ body: @escaping @Sendable () -> Void) throws(SpawnError) {
    guard failure == 0 else { throw .host(operation: "starting the spawning thread", errno: failure) }
    enqueue(body)
  }

  private func enqueue(_ work: @escaping Work) {
    queue.withLock { $0.append(work) }
    _ = linux_eventfd_signal(wake)
  }
}
