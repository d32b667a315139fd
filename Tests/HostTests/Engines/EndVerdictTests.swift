import PluginProtocol
import Testing

@testable import Host

/// Every way in which a process may end, and what is held against whom.
struct EndVerdictTests {
  static let killReasons: [KillReason] = [
    .startTimeout(.seconds(1)), .jobStalled(jobID: "j", .seconds(1)), .ignoredCancel(jobID: "j", .seconds(1)),
    .loadStalled(model: "m", .seconds(1)), .loadTooLong(model: "m", .seconds(1)),
    .unloadStalled(model: "m", .seconds(1)), .pingUnanswered(.seconds(1)), .noise(1), .protocolErrors(1, last: "x"),
    .partialLine(.seconds(1)), .stdinStalled(.seconds(1)), .closedOutput, .closedInput, .badHandshake("x"),
    .tooManyProcesses(1), .diskQuota(used: 2, limit: 1),
  ]

  /// Exhaustive on purpose: whoever adds a reason has to say here what it means.
  static func isBlamedOnJobs(_ reason: KillReason) -> Bool {
    switch reason {
    case .noise, .protocolErrors, .partialLine, .stdinStalled, .closedOutput, .closedInput, .tooManyProcesses,
      .diskQuota:
      true
    case .startTimeout, .badHandshake, .jobStalled, .ignoredCancel, .loadStalled, .loadTooLong, .unloadStalled,
      .pingUnanswered:
      false
    }
  }

  private func end(_ cause: EngineEnd.Cause, _ failure: FailureClass = .engineFault) -> EngineEnd {
    EngineEnd(
      cause: cause, diagnosis: "", failure: failure, pid: 1, isLost: false, stderrTail: [], lifetime: .zero,
      counters: EngineSession.Counters())
  }

  @Test func onlyWhatTheEngineDidItselfIsACrash() {
    for failure in [FailureClass.engineFault, .resource] {
      #expect(end(.stopped, failure).verdict == .wanted(startAgain: false))
      #expect(end(.incompatible, failure).verdict == .unusable)
    }
    #expect(end(.crashed).verdict == .crash(atStart: false))
    #expect(end(.failedToStart).verdict == .crash(atStart: true))
    #expect(end(.crashed, .resource).verdict == .outOfMemory(atStart: false))
    #expect(end(.failedToStart, .resource).verdict == .outOfMemory(atStart: true))
    for reason in EndVerdictTests.killReasons {
      let expected: EndVerdict =
        switch reason {
        // A person's cancel, or a deadline, that had to be enforced.
        case .ignoredCancel: .wanted(startAgain: true)
        case .startTimeout, .badHandshake: .crash(atStart: true)
        default: .crash(atStart: false)
        }
      #expect(end(.killed(reason)).verdict == expected, "\(reason)")
    }
  }

  /// Stop, restart, disable, drain, idle exit and stops for room all say `stop`: a kill that comes after it is no fault.
  @Test func aKillOfOneThatWasAskedToGoIsNoFault() {
    for reason in EndVerdictTests.killReasons {
      var core = EngineCore(limits: SessionLimits(), now: MonotonicInstant(nanoseconds: 1))
      core.isStopping = true
      _ = core.absorb([.kill(reason)], now: MonotonicInstant(nanoseconds: 2))
      #expect(core.killReason == nil && core.teardown == Teardown.forced, "\(reason)")
      core.isStopping = false
      _ = core.absorb([.kill(reason)], now: MonotonicInstant(nanoseconds: 2))
      #expect(core.killReason == reason)
    }
  }
}

/// Poison and the account of its engine.
struct RestartPolicyPoisonTests {
  let clock = ManualHostClock()

  /// One death of the engine with these jobs in hand.
  private func died(
    _ policy: inout RestartPolicy, _ jobs: [Int] = [], poison: [Int] = [], counts: Bool = true
  ) -> RestartPolicy.Decision {
    clock.advance(by: .seconds(1))
    return policy.died(
      now: clock.now(), lived: .seconds(1), finishedJobs: 0, chance: 0.5, jobs: Set(jobs.map(jobID)),
      poison: Set(poison.map(jobID)), counts: counts)
  }

  @Test func poisonIsTakenOffTheAccountOfAnEngineThatServesOthers() {
    var policy = RestartPolicy()
    for number in 1...20 {
      policy.served(now: clock.now())
      #expect(died(&policy, [number, 100]) != .quarantine)
      #expect(died(&policy, [number], poison: [number]) == .restart(after: .milliseconds(500)))
    }
  }

  @Test func anEngineThatDiesOfEverythingIsQuarantined() {
    var policy = RestartPolicy()
    var decisions: [RestartPolicy.Decision] = []
    for number in 1...3 {
      decisions.append(died(&policy, [number]))
      decisions.append(died(&policy, [number], poison: [number]))
    }
    #expect(decisions.firstIndex(of: .quarantine) == 4)
  }

  @Test func aGoodJobOfLongAgoExcusesNothing() {
    var policy = RestartPolicy()
    policy.served(now: clock.now())
    clock.advance(by: .seconds(400))
    var decisions: [RestartPolicy.Decision] = []
    for number in 1...3 {
      decisions.append(died(&policy, [number]))
      decisions.append(died(&policy, [number], poison: [number]))
    }
    #expect(decisions.contains(.quarantine))
  }

  @Test func memoryDelaysAndNeverQuarantines() {
    var policy = RestartPolicy()
    for _ in 0..<20 { #expect(died(&policy, [1], counts: false) != .quarantine) }
    #expect(died(&policy, [1], counts: false) == .restart(after: .seconds(60)))
  }

  @Test func everyFiftyNineSecondsIsSlowedDownAndNeverSpins() throws {
    var policy = RestartPolicy()
    var slept = Duration.zero
    var starts = 0
    // An hour of an engine that lives 59 s each time.
    while clock.now().nanoseconds < 3_600_000_000_000 {
      starts += 1
      clock.advance(by: .seconds(59))
      let decision = policy.died(now: clock.now(), lived: .seconds(59), finishedJobs: 1, chance: 0.5)
      guard case .restart(let delay) = decision else { break }
      slept += delay
      clock.advance(by: delay)
    }
    #expect(starts <= 40 && slept >= .seconds(60 * 20), "\(starts) starts, \(slept.short) of waiting")
  }
}
