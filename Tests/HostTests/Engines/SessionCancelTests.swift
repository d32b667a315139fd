import PluginProtocol
import Testing

@testable import Host

struct SessionCancelTests {
  @Test func cancelIsIdempotentAtAnyMoment() throws {
    var script = SessionScript()
    #expect(script.cancel("a").isEmpty, "before it exists")
    script.run("a")
    #expect(script.cancel("a").methods == ["job/cancel"])
    #expect(script.cancel("a").isEmpty, "twice")
    script.refuse(try script.request("a"), RPCError(.cancelled, "stopped"))
    #expect(script.ends(of: "a") == [.cancelled])
    #expect(script.cancel("a").isEmpty, "after the end")
    #expect(script.pass(.seconds(60)).isEmpty && script.kills.isEmpty)
  }

  @Test func cancelOvertakesWhatIsQueued() {
    var script = SessionScript()
    script.run("a")
    guard case .send(let frame)? = script.cancel("a").first else {
      Issue.record("nothing sent")
      return
    }
    #expect(frame.urgent)
  }

  @Test(arguments: [Duration.milliseconds(1), .seconds(1), .milliseconds(4999)])
  func aResultAfterTheCancelIsNeverSeen(after: Duration) throws {
    var script = SessionScript()
    script.run("a")
    script.cancel("a")
    script.pass(after)
    script.chunk("a", 1)
    script.progress("a", step: 3)
    try script.finish("a")
    try script.finish("a")
    #expect(script.ends(of: "a") == [.cancelled])
    #expect(script.log.allSatisfy { if case .jobChunk = $0 { false } else { true } })
    #expect(script.steps.isEmpty)
    #expect(script.session.counters.late == 3)
  }

  @Test func anEngineThatIgnoresItIsKilledAndCoTenantsAreLost() {
    var script = SessionScript()
    for job in ["a", "b", "c"] { script.run(job) }
    script.cancel("a")
    script.pass(.milliseconds(4999))
    #expect(script.kills.isEmpty)
    script.pass(.milliseconds(1))
    let reason = KillReason.ignoredCancel(jobID: "a", .seconds(5))
    #expect(script.kills == [reason])
    #expect(script.ends(of: "a") == [.cancelled])
    #expect(script.ends(of: "b") == [.lost(.killed(reason))])
    #expect(script.ends(of: "c") == [.lost(.killed(reason))])
    #expect(!reason.isBlamedOnJobs)
    script.died()
    #expect(script.log.filter { if case .jobEnded = $0 { true } else { false } }.count == 3)
  }

  @Test func deathWhileCancellingCancels() {
    var script = SessionScript()
    script.run("a")
    script.cancel("a")
    script.died()
    #expect(script.ends(of: "a") == [.cancelled])
  }

  @Test func aJobTakenBackFromTheQueueIsCancelled() {
    var script = SessionScript()
    script.run("a")
    #expect(script.note(script.session.withdrawn(jobID: "a")) == [.jobEnded(jobID: "a", .cancelled)])
    #expect(script.session.nextDeadline == nil)
    #expect(script.note(script.session.withdrawn(jobID: "a")).isEmpty)
  }

  @Test func aCancelThatNobodyAskedForIsTheEnginesFault() throws {
    var script = SessionScript()
    script.run("a")
    script.refuse(try script.request("a"), RPCError(.cancelled, "stopped"))
    guard case .failed(let error)? = script.ends(of: "a").first else {
      Issue.record("\(script.ends(of: "a"))")
      return
    }
    #expect(error.failureClass == .engineFault)
  }
}

struct SessionSuspectTests {
  private func parameters(_ job: String) -> JobRunParameters {
    JobRunParameters(jobID: job, attempt: 1, kind: "llm", task: [:], workDirectory: "/w")
  }

  @Test func aSuspectWaitsUntilTheEngineHasLetGoOfWhatWasGivenUp() throws {
    var script = SessionScript()
    script.run("late", deadline: .seconds(1))
    script.pass(.seconds(1))
    #expect(script.ends(of: "late") == [.deadline])
    let begun = script.note(
      script.session.run(parameters("suspect"), deadline: nil, isAlone: true, now: script.clock.now()))
    #expect(begun.methods.isEmpty, "the engine still works on what was given up")
    let freed = script.refuse(try script.request("late"), RPCError(.cancelled, "stopped"))
    #expect(freed.methods == ["job/run"])
  }

  @Test func whatWasInHandIsCountedAtTheEnd() {
    var script = SessionScript()
    #expect(script.session.inHandAtEnd == nil)
    script.run("late", deadline: .seconds(1))
    script.pass(.seconds(1))
    script.run("a")
    script.load("m")
    script.died()
    #expect(script.session.inHandAtEnd == 3, "what was given up may be what killed it")
  }
}
