import Glibc
import Synchronization

/// A point on the clock that counts while the machine is awake (`CLOCK_MONOTONIC`). Setting the wall clock does not move it.
///
/// Meaningful only within one boot of one machine: never stored, never sent.
package struct MonotonicInstant: InstantProtocol, Sendable {
  /// Nanoseconds since an arbitrary moment before this process started.
  package let nanoseconds: Int64

  package init(nanoseconds: Int64) {
    self.nanoseconds = nanoseconds
  }

  /// This instant moved by `duration`; a move beyond what can be represented stops at the end of time.
  package func advanced(by duration: Duration) -> MonotonicInstant {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.saturatedNanoseconds)
    return MonotonicInstant(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
  }

  /// How long it is from this instant to `other`: negative when `other` is earlier.
  package func duration(to other: MonotonicInstant) -> Duration {
    .nanoseconds(other.nanoseconds) - .nanoseconds(nanoseconds)
  }

  package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
}

extension Duration {
  /// Whole nanoseconds, clamped to what 64 bits hold (292 years).
  package var saturatedNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    let (sum, overflowed) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflowed ? (seconds < 0 ? .min : .max) : sum
  }

  /// Milliseconds rounded up, as poll(2) wants them: never negative, never so short that the wait must be repeated.
  package var pollMilliseconds: Int32 {
    let nanoseconds = max(0, saturatedNanoseconds)
    let milliseconds = nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 > 0 ? 1 : 0)
    return Int32(clamping: milliseconds)
  }
}

/// Where the time comes from. Everything that decides by time is given one, so that tests can move it by hand.
package protocol HostClock: Sendable {
  /// The current instant; never earlier than one returned before.
  func now() -> MonotonicInstant
}

/// The machine's own clock.
package struct SystemHostClock: HostClock {
  package init() {}

  package func now() -> MonotonicInstant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}

/// A clock that stands still until it is told to move.
package final class ManualHostClock: HostClock {
  private let instant: Mutex<MonotonicInstant>

  package init(_ start: MonotonicInstant = MonotonicInstant(nanoseconds: 1_000_000_000)) {
    instant = Mutex(start)
  }

  package func now() -> MonotonicInstant {
    instant.withLock { $0 }
  }

  /// Moves the clock forward. A negative duration is ignored: this clock never runs backwards.
  package func advance(by duration: Duration) {
    instant.withLock { $0 = max($0, $0.advanced(by: duration)) }
  }
}
