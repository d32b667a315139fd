import PluginProtocol
import Testing

@testable import Host

struct ProgressGateTests {
  let clock = ManualHostClock()

  private func step(_ number: Int) -> JobProgress { JobProgress(jobID: "a", step: number) }

  @Test func atMostOneAnIntervalAndTheLatestWins() {
    var gate = ProgressGate(interval: .milliseconds(100))
    var passed: [Int?] = []
    // 1,000 reports a second for two seconds.
    for number in 0..<2000 {
      if let event = gate.take(step(number), now: clock.now()) { passed.append(event.step) }
      clock.advance(by: .milliseconds(1))
      if let event = gate.release(now: clock.now()) { passed.append(event.step) }
    }
    if let event = gate.release(now: clock.now(), flush: true) { passed.append(event.step) }
    #expect((15...22).contains(passed.count), "\(passed.count)")
    #expect(passed.last == 1999)
    #expect(passed == passed.sorted { ($0 ?? 0) < ($1 ?? 0) })
    #expect(gate.dropped == 2000 - passed.count)
  }

  @Test func aSlowSenderIsNeverHeldUp() {
    var gate = ProgressGate(interval: .milliseconds(100))
    for number in 0..<5 {
      #expect(gate.take(step(number), now: clock.now()) == step(number))
      #expect(gate.due == nil)
      clock.advance(by: .milliseconds(100))
    }
    #expect(gate.dropped == 0)
  }

  @Test func whatIsHeldHasATime() {
    var gate = ProgressGate(interval: .milliseconds(100))
    _ = gate.take(step(1), now: clock.now())
    let due = clock.now().advanced(by: .milliseconds(100))
    clock.advance(by: .milliseconds(30))
    #expect(gate.take(step(2), now: clock.now()) == nil)
    #expect(gate.due == due)
    #expect(gate.release(now: clock.now()) == nil)
    #expect(gate.release(now: due) == step(2))
    #expect(gate.release(now: due, flush: true) == nil && gate.due == nil)
  }
}

struct LogGateTests {
  let clock = ManualHostClock()

  private func message(_ job: String? = nil) -> LogMessage { LogMessage(level: .info, message: "x", jobID: job) }

  @Test func tenASecondForEachJobAndWhatIsDroppedIsSaid() {
    var gate = LogGate()
    var passed = 0
    for _ in 0..<1000 { passed += gate.take(message("a"), job: "a", now: clock.now()).count }
    #expect(passed == 10 && gate.dropped == 990)
    #expect(gate.take(message("b"), job: "b", now: clock.now()).count == 1)
    clock.advance(by: .seconds(1))
    let later = gate.take(message("a"), job: "a", now: clock.now())
    #expect(later.map(\.message) == ["990 log messages came too fast and were dropped", "x"])
    #expect(later.first?.level == .warn && later.first?.jobID == "a")
    #expect(gate.close(job: "a") == nil && gate.closeAll().isEmpty)
  }

  @Test func theEndSaysWhatTheLastSecondHasDropped() {
    var gate = LogGate()
    for _ in 0..<11 {
      _ = gate.take(message("a"), job: "a", now: clock.now())
      // A job that does not run shares the engine's allowance: names do not fill memory.
      _ = gate.take(message("stranger"), job: nil, now: clock.now())
    }
    #expect(gate.close(job: "a")?.message == "1 log message came too fast and were dropped")
    #expect(gate.closeAll().map(\.jobID) == [nil])
    #expect(gate.dropped == 2)
  }
}

struct StderrTailTests {
  private func feed(_ tail: inout StderrTail, _ text: String, at clock: ManualHostClock) -> [String] {
    var out: [String] = []
    Array(text.utf8).withUnsafeBytes { bytes in
      tail.feed(bytes, now: clock.now()) { event in
        switch event {
        case .stderr(let line): out.append(line)
        case .stderrFlood: out.append("FLOOD")
        case .stderrDropped(let count, let last): out.append("DROPPED \(count) \(last)")
        default: out.append("?")
        }
      }
    }
    return out
  }

  @Test func aFloodIsSaidAtOnceAndItsSumLater() {
    let clock = ManualHostClock()
    var tail = StderrTail()
    let lines = (0..<StderrTail.perMinute).map { "line \($0)\n" }.joined()
    #expect(feed(&tail, lines, at: clock).count == StderrTail.perMinute)
    #expect(feed(&tail, "one\ntwo\nthree\n", at: clock) == ["FLOOD"])
    clock.advance(by: .seconds(60))
    #expect(feed(&tail, "four\n", at: clock) == ["DROPPED 3 [\"one\", \"two\", \"three\"]", "four"])
    #expect(tail.lines.suffix(2) == ["three", "four"] && tail.lines.count == LastLines.kept)
  }

  @Test func theEndSaysWhatWasDropped() {
    let clock = ManualHostClock()
    var tail = StderrTail()
    _ = feed(&tail, String(repeating: "x\n", count: StderrTail.perMinute + 5), at: clock)
    var said: [Int] = []
    tail.finish(now: clock.now()) { if case .stderrDropped(let count, _) = $0 { said.append(count) } }
    #expect(said == [5])
  }

  @Test func carriageReturnsWithoutAnEndCostNothing() {
    let clock = ManualHostClock()
    var tail = StderrTail()
    for _ in 0..<1000 { #expect(feed(&tail, String(repeating: "\r 42%", count: 1000), at: clock).isEmpty) }
    var said: [String] = []
    tail.finish(now: clock.now()) { if case .stderr(let line) = $0 { said.append(line) } }
    #expect(said.count == 1 && said[0].hasSuffix("[cut: 5000000 bytes]") && said[0].utf8.count < 64, "\(said)")
  }
}

struct RateBudgetTests {
  @Test func countsAMinuteFromItsFirstEvent() {
    let clock = ManualHostClock()
    var budget = RateBudget(limit: 3)
    #expect((0..<5).map { _ in budget.take(now: clock.now()) } == [true, true, true, false, false])
    clock.advance(by: .milliseconds(59_999))
    #expect(budget.take(now: clock.now()) == false)
    clock.advance(by: .milliseconds(1))
    #expect(budget.take(now: clock.now()) == true)
  }

  @Test func aLongQuietTimeEarnsNoCredit() {
    let clock = ManualHostClock()
    var budget = RateBudget(limit: 2)
    clock.advance(by: .seconds(86_400))
    #expect((0..<3).map { _ in budget.take(now: clock.now()) } == [true, true, false])
  }
}

struct RestartPolicyTests {
  let clock = ManualHostClock()

  /// A policy that never quarantines, to look at delays alone.
  private func patient() -> RestartPolicy {
    var settings = RestartPolicy.Settings()
    settings.quarantineDeaths = .max
    return RestartPolicy(settings: settings)
  }

  private func delay(_ decision: RestartPolicy.Decision) -> Duration? {
    if case .restart(let after) = decision { after } else { nil }
  }

  @Test func delaysDoubleToAMinute() {
    var policy = patient()
    let delays = (0..<10).map { _ in
      delay(policy.died(now: clock.now(), lived: .zero, finishedJobs: 0, chance: 0.5))
    }
    let seconds: [Double] = [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    #expect(delays == seconds.map { .milliseconds(Int64($0 * 1000)) })
  }

  @Test(arguments: [-1.0, 0, 0.25, 0.5, 1, 7, .infinity])
  func chanceMovesADelayByAQuarterAtMost(chance: Double) throws {
    var policy = patient()
    for base in [0.5, 1, 2, 4, 8, 16, 32, 60, 60] {
      let taken = try #require(delay(policy.died(now: clock.now(), lived: .zero, finishedJobs: 0, chance: chance)))
      #expect(taken.inSeconds >= base * 0.7499 && taken.inSeconds <= base * 1.2501)
    }
  }

  @Test(arguments: [(60, 1, true), (600, 5, true), (59, 9, false), (600, 0, false)])
  func aGoodLifeIsForgivenEverything(lived: Int, jobs: Int, isForgiven: Bool) {
    var policy = patient()
    for _ in 0..<5 { _ = policy.died(now: clock.now(), lived: .zero, finishedJobs: 0, chance: 0.5) }
    let next = delay(policy.died(now: clock.now(), lived: .seconds(lived), finishedJobs: jobs, chance: 0.5))
    #expect(next == (isForgiven ? .milliseconds(500) : .seconds(16)))
  }

  @Test func fiveDeathsInThreeMinutesQuarantine() {
    var policy = RestartPolicy()
    var decisions: [RestartPolicy.Decision] = []
    for _ in 0..<5 {
      decisions.append(policy.died(now: clock.now(), lived: .zero, finishedJobs: 3, chance: 0.5))
      clock.advance(by: .seconds(45))
    }
    #expect(decisions.last == .quarantine)
    #expect(decisions.dropLast().allSatisfy { $0 != .quarantine })
    policy.forgive()
    #expect(
      policy.died(now: clock.now(), lived: .zero, finishedJobs: 0, chance: 0.5) == .restart(after: .milliseconds(500)))
  }

  @Test func aCrashEveryFiftyNineSecondsNeverSpins() {
    // One good job a life, and never long enough to be forgiven: the waits grow to a minute, the count never fills.
    var policy = RestartPolicy()
    let clock = ManualHostClock()
    for death in 1...50 {
      clock.advance(by: .seconds(59))
      let decision = policy.died(now: clock.now(), lived: .seconds(59), finishedJobs: 1, chance: 0.5)
      guard let delay = delay(decision) else {
        Issue.record("quarantined at death \(death)")
        return
      }
      #expect(delay >= .milliseconds(500) && delay <= .seconds(60))
      if death > 7 { #expect(delay == .seconds(60)) }
      clock.advance(by: delay)
    }
  }

  @Test func deathsFurtherApartDoNot() {
    var policy = RestartPolicy()
    for _ in 0..<50 {
      #expect(policy.died(now: clock.now(), lived: .seconds(40), finishedJobs: 1, chance: 0.5) != .quarantine)
      clock.advance(by: .seconds(59))
    }
  }

  @Test func aGoodLifeClearsTheCountOfDeathsToo() {
    var settings = RestartPolicy.Settings()
    settings.goodLife = .seconds(1)
    var policy = RestartPolicy(settings: settings)
    for _ in 0..<20 {
      #expect(
        policy.died(now: clock.now(), lived: .seconds(2), finishedJobs: 1, chance: 0.5)
          == .restart(after: .milliseconds(500)))
      clock.advance(by: .seconds(2))
    }
  }
}
