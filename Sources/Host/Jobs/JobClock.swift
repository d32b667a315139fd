#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The two clocks the job store reads, injected so that tests can move them.
package struct JobClock: Sendable {
  /// The time of day in milliseconds since 1970. It may jump either way at any moment.
  package var wallMilliseconds: @Sendable () -> Int64
  /// Milliseconds since some fixed instant; never goes back and never jumps.
  package var monotonicMilliseconds: @Sendable () -> Int64

  package init(
    wallMilliseconds: @escaping @Sendable () -> Int64, monotonicMilliseconds: @escaping @Sendable () -> Int64
  ) {
    self.wallMilliseconds = wallMilliseconds
    self.monotonicMilliseconds = monotonicMilliseconds
  }

  /// The machine's clocks. The monotonic one is `CLOCK_BOOTTIME`, which goes on during suspend: a deadline given by a
  /// person, or a lease that another machine watches, does not stop because this machine slept.
  package static let system = JobClock(
    wallMilliseconds: { milliseconds(CLOCK_REALTIME) }, monotonicMilliseconds: { milliseconds(CLOCK_BOOTTIME) })

  private static func milliseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Nanoseconds of the monotonic clock, for measuring.
  static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

/// One life's own timeline: the wall time at its start, carried on by the monotonic clock.
///
/// Deadlines, leases and retention are kept and judged in this time, so a wall clock that jumps while the process runs
/// ends nothing early or late. The next life starts from the wall clock again; a jump between two lives is the one
/// case that cannot be told from time gone by.
struct SteadyTime: Sendable {
  private let clock: JobClock
  private let offset: Int64

  init(_ clock: JobClock) {
    self.clock = clock
    offset = clock.wallMilliseconds() - clock.monotonicMilliseconds()
  }

  /// Milliseconds since 1970 on this life's timeline.
  var now: Int64 { clock.monotonicMilliseconds() + offset }
}
