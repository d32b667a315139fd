import PluginProtocol
import Testing

@testable import Host

struct BlameTests {
  private func story(_ text: String = "died", _ mark: BlameMark? = nil) -> JobFailure {
    JobFailure(
      .engineFault, text, evidence: mark.map { [BlameMark.key: .string($0.rawValue)] })
  }

  /// What is said of a job after one loss upon another.
  private func rulings(_ circumstances: [Blame.Circumstance]) -> [Blame.Ruling] {
    var blame = Blame()
    return circumstances.map { blame.rule(jobID(1), $0, story: story()) }
  }

  @Test(arguments: [
    // Alone: the second death is the last.
    ([Blame.Circumstance.died(inHand: 1), .died(inHand: 1)], [Blame.Ruling.guilty, .poison]),
    // Shared first: nothing is known, nothing is paid; then alone.
    ([.died(inHand: 8), .died(inHand: 1)], [.suspect, .poison]),
    // Two shared ones are no proof, but the second one is paid for, so that there is an end.
    ([.died(inHand: 8), .died(inHand: 2), .died(inHand: 1)], [.suspect, .guilty, .poison]),
    ([.died(inHand: 3), .died(inHand: 3), .died(inHand: 3)], [.suspect, .guilty, .guilty]),
    // A job that stands still is known by name, whoever was beside it.
    ([.stalled, .stalled], [.guilty, .poison]),
    ([.died(inHand: 2), .stalled], [.suspect, .poison]),
    // What the host did counts for nothing, however often.
    ([.hosts, .hosts, .hosts, .died(inHand: 1)], [.unblamed, .unblamed, .unblamed, .guilty]),
    ([.died(inHand: 1), .hosts, .died(inHand: 1)], [.guilty, .unblamed, .poison]),
    // Memory is never poison; alone it costs an attempt.
    ([.outOfMemory(inHand: 4), .outOfMemory(inHand: 1), .outOfMemory(inHand: 1)], [.suspect, .guilty, .guilty]),
    ([.outOfMemory(inHand: 1), .died(inHand: 1)], [.guilty, .guilty]),
  ])
  func oneLossUponAnother(_ circumstances: [Blame.Circumstance], _ expected: [Blame.Ruling]) {
    #expect(rulings(circumstances) == expected)
  }

  @Test func whoeverLostAProcessIsTriedAloneUntilItHasEnded() {
    var blame = Blame()
    for number in 1...8 {
      #expect(blame.rule(jobID(number), .died(inHand: 8), story: story()) == .suspect)
      #expect(blame.isSuspect(jobID(number)))
    }
    #expect(blame.rule(jobID(9), .hosts, story: story()) == .unblamed && !blame.isSuspect(jobID(9)))
    for number in 1...8 { blame.forget(jobID(number)) }
    #expect(blame.count == 0 && !blame.isSuspect(jobID(1)))
  }

  @Test func theStoriesOfAllProcessesAreKept() {
    var blame = Blame()
    _ = blame.rule(jobID(1), .died(inHand: 2), story: story("first"))
    _ = blame.rule(jobID(1), .died(inHand: 1), story: story("second"))
    #expect(blame.stories(jobID(1)).map(\.message) == ["first", "second"])
  }

  @Test func attemptsOfAFormerLifeCount() {
    func attempt(_ number: Int, _ error: JobFailure?) -> JobAttempt {
      JobAttempt(number: number, engine: "e", pid: 1, startedAt: 0, endedAt: 1, outcome: .lost, error: error)
    }
    var blame = Blame()
    // The host's own end is no story.
    blame.restore(jobID(1), [attempt(1, JobFailure(errorClass: "lost", message: "the host ended"))])
    #expect(!blame.isSuspect(jobID(1)))
    blame.restore(
      jobID(2),
      [attempt(1, story("a", .shared)), attempt(2, JobFailure(errorClass: "lost", message: "the host ended"))])
    #expect(blame.isSuspect(jobID(2)))
    #expect(blame.rule(jobID(2), .died(inHand: 1), story: story("b")) == .poison)
    #expect(blame.stories(jobID(2)).map(\.message) == ["a", "b"])
    blame.restore(jobID(3), [attempt(1, story("m", .memory))])
    #expect(blame.isSuspect(jobID(3)) && blame.rule(jobID(3), .died(inHand: 1), story: story()) == .guilty)
  }

  @Test func circumstancesOfALoss() {
    typealias Circumstance = Blame.Circumstance
    func of(_ reason: LossReason, isStopping: Bool = false) -> Circumstance {
      Circumstance(reason, death: nil, isStopping: isStopping)
    }
    #expect(of(.died("x")) == .died(inHand: 1))
    #expect(of(.stalled(.seconds(1))) == .stalled)
    #expect(of(.notBegun("x")) == .hosts)
    for reason in EndVerdictTests.killReasons {
      #expect(of(.killed(reason), isStopping: true) == .hosts)
      #expect(of(.killed(reason)) == (EndVerdictTests.isBlamedOnJobs(reason) ? .died(inHand: 1) : .hosts), "\(reason)")
    }
    // Asked to go by the host: whatever came then was its doing.
    #expect(of(.died("x"), isStopping: true) == .hosts && of(.stalled(.seconds(1)), isStopping: true) == .hosts)
  }
}
