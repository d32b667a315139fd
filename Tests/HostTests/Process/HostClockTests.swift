import Testing

@testable import Host

@Suite struct HostClockTests {
  @Test func instantsMeasureDurations() {
    let start = MonotonicInstant(nanoseconds: 5)
    #expect(start.advanced(by: .milliseconds(2)).nanoseconds == 2_000_005)
    #expect(start.duration(to: start.advanced(by: .seconds(-3))) == .seconds(-3))
    #expect(start < start.advanced(by: .nanoseconds(1)))
  }

  @Test func theEndOfTimeIsNotAnOverflow() {
    let start = MonotonicInstant(nanoseconds: 5)
    #expect(start.advanced(by: .seconds(Int64.max)).nanoseconds == .max)
    #expect(MonotonicInstant(nanoseconds: -5).advanced(by: .seconds(Int64.min)).nanoseconds == .min)
  }

  @Test func pollTimesAreRoundedUpAndNeverNegative() {
    #expect(Duration.nanoseconds(1).pollMilliseconds == 1)
    #expect(Duration.milliseconds(7).pollMilliseconds == 7)
    #expect(Duration.seconds(-1).pollMilliseconds == 0)
    #expect(Duration.seconds(Int64.max).pollMilliseconds == .max)
  }

  @Test func theManualClockOnlyMovesForward() {
    let clock = ManualHostClock()
    let start = clock.now()
    clock.advance(by: .seconds(2))
    clock.advance(by: .seconds(-9))
    #expect(start.duration(to: clock.now()) == .seconds(2))
  }

  @Test func theSystemClockDoesNotRunBackwards() {
    let clock = SystemHostClock()
    let first = clock.now()
    #expect(first <= clock.now())
  }
}
