import CLinux
import Glibc

/// What wakes an engine's thread from outside: an event counter and a timer, both as descriptors for `poll`.
struct WakeSource: ~Copyable, Sendable {
  let event: Int32
  let timer: Int32

  init() throws(SpawnError) {
    let event = linux_eventfd(1)
    guard event >= 0 else { throw .host(operation: "making an event counter", errno: -event) }
    let timer = linux_timerfd()
    guard timer >= 0 else {
      close(event)
      throw .host(operation: "making a timer", errno: -timer)
    }
    self.init(event: event, timer: timer)
  }

  private init(event: Int32, timer: Int32) {
    self.event = event
    self.timer = timer
  }

  deinit {
    close(event)
    close(timer)
  }

  /// Wakes the thread. Any thread may.
  borrowing func signal() { _ = linux_eventfd_signal(event) }

  /// Makes the thread wake at that instant; nil disarms.
  borrowing func arm(_ instant: MonotonicInstant?) {
    _ = linux_timerfd_arm(timer, instant.map { max(1, $0.nanoseconds) } ?? 0)
  }

  /// Forgets a signal that has been seen.
  borrowing func drain() { _ = linux_eventfd_wait(event) }
}
