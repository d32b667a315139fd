import PluginProtocol
import Testing

@testable import Host

/// Chunks, credit, progress and the clocks that they move.
struct SessionFlowTests {
  static func quick() -> SessionLimits {
    var limits = SessionLimits()
    limits.jobStall = .seconds(10)
    limits.job = .seconds(100)
    limits.chunkCredit = 4
    return limits
  }

  @Test func aJobInOrder() throws {
    var script = SessionScript()
    #expect(script.run("a").methods == ["job/run"])
    script.chunk("a", 1)
    script.chunk("a", 2)
    script.progress("a", step: 1)
    try script.finish("a")
    #expect(script.ends(of: "a") == [.succeeded(JobRunResult(output: ["text": "done"]))])
    #expect(script.session.jobsInFlight == 0)
    #expect(script.session.nextDeadline == nil)
  }

  @Test(arguments: [[2], [0], [-1], [1, 3], [1, 1], [1, 2, 5]])
  func aGapEndsTheJobAndKeepsTheEngine(seqs: [Int]) throws {
    var script = SessionScript()
    script.run("a")
    script.run("b")
    for seq in seqs { script.chunk("a", seq) }
    guard case .failed(let error)? = script.ends(of: "a").first else {
      Issue.record("\(script.ends(of: "a"))")
      return
    }
    #expect(error.failureClass == .engineFault)
    #expect(script.session.counters.protocolErrors == 1)
    #expect(script.log.methods.last == "job/cancel")
    #expect(script.kills.isEmpty)
    try script.finish("b")
    #expect(script.ends(of: "b").count == 1)
  }

  @Test func chunksBeyondTheCreditEndTheJob() {
    var script = SessionScript(Self.quick())
    script.run("a")
    for seq in 1...4 { script.chunk("a", seq) }
    #expect(script.ends(of: "a").isEmpty)
    script.chunk("a", 5)
    guard case .failed(let error)? = script.ends(of: "a").first else {
      Issue.record("chunk 5 of 4 was taken")
      return
    }
    #expect(error.message.contains("credit of 4"))
  }

  @Test func creditStarvationStopsTheStallClock() {
    var script = SessionScript(Self.quick())
    script.run("a")
    for seq in 1...4 { script.chunk("a", seq) }
    #expect(script.pass(.seconds(90)).isEmpty, "the engine waits for the host")
    #expect(script.credit("a", through: 8).methods == ["job/credit"])
    #expect(script.credit("a", through: 8).isEmpty && script.credit("a", through: 3).isEmpty, "through never falls")
    script.pass(.milliseconds(9900))
    #expect(script.kills.isEmpty, "the clock begins anew with the credit")
    script.pass(.seconds(101))
    #expect(script.ends(of: "a").count == 1)
  }

  @Test func stallKillsWithoutChunksOrProgress() {
    var script = SessionScript(Self.quick())
    script.run("a")
    script.run("b")
    script.pass(.seconds(9))
    script.chunk("b", 1)
    script.pass(.seconds(1))
    #expect(script.ends(of: "a") == [.lost(.stalled(.seconds(10)))])
    #expect(script.kills == [.jobStalled(jobID: "a", .seconds(10))])
    #expect(script.ends(of: "b") == [.lost(.killed(.jobStalled(jobID: "a", .seconds(10))))])
    #expect(!script.kills[0].isBlamedOnJobs, "b is not to blame for a")
  }

  @Test func repeatedProgressIsNoSignOfLife() {
    var script = SessionScript(Self.quick())
    script.run("a")
    for _ in 0..<9 {
      script.progress("a", step: 1)
      script.pass(.seconds(1))
    }
    #expect(script.kills.isEmpty)
    script.pass(.seconds(1))
    #expect(script.kills.count == 1, "only the first report counted")
  }

  @Test func changedProgressLivesUntilTheMaximum() {
    var script = SessionScript(Self.quick())
    script.run("a")
    for step in 0..<19 {
      script.progress("a", step: step)
      script.pass(.seconds(5))
    }
    #expect(script.ends(of: "a").isEmpty)
    script.progress("a", step: 99)
    script.pass(.seconds(5))
    guard case .failed(let error)? = script.ends(of: "a").first else {
      Issue.record("the hard maximum did not end it")
      return
    }
    #expect(error.message.contains("100 s"))
    #expect(script.log.methods.last == "job/cancel")
    script.pass(.seconds(5))
    #expect(script.kills == [.ignoredCancel(jobID: "a", .seconds(5))])
    #expect(script.ends(of: "a").count == 1)
  }

  @Test func progressIsCoalescedAndTheLastOneComes() throws {
    var script = SessionScript()
    script.run("a")
    for step in 0..<1000 { script.progress("a", step: step) }
    #expect(script.steps == [0])
    script.pass(.milliseconds(100))
    #expect(script.steps == [0, 999])
    for step in 1000..<1010 { script.progress("a", step: step) }
    try script.finish("a")
    #expect(script.steps == [0, 999, 1009], "what is held comes before the end")
    guard case .jobEnded? = script.log.last else {
      Issue.record("progress after the end")
      return
    }
    #expect(script.session.counters.droppedProgress == 998 + 9)
  }

  @Test func heldProgressDoesNotOutliveAnAbandonedJob() {
    var script = SessionScript()
    script.run("a", deadline: .milliseconds(50))
    script.progress("a", step: 1)
    script.progress("a", step: 2)
    script.pass(.milliseconds(60))
    #expect(script.ends(of: "a") == [.deadline])
    script.pass(.milliseconds(100))
    script.pass(.milliseconds(100))
    #expect(script.steps == [1])
  }

  @Test func theDeadlineEndsTheJobAndAsksTheEngineToStop() throws {
    var script = SessionScript()
    script.run("a", deadline: .seconds(3))
    #expect(script.session.nextDeadline == script.clock.now().advanced(by: .seconds(3)))
    let actions = script.pass(.seconds(3))
    #expect(actions.first == .jobEnded(jobID: "a", .deadline))
    #expect(actions.methods == ["job/cancel"])
    try script.finish("a")
    #expect(script.ends(of: "a") == [.deadline], "a late result stays unseen")
    #expect(script.session.jobsInFlight == 0 && script.kills.isEmpty)
  }

  @Test func aTaskAboveTheLineCapIsRefused() {
    var script = SessionScript()
    script.run("a", task: ["prompt": .string(String(repeating: "x", count: 1 << 20))])
    guard case .failed(let error)? = script.ends(of: "a").first else {
      Issue.record("sent")
      return
    }
    #expect(error.failureClass == .badInput)
    #expect(script.log.methods == ["initialize"])
  }

  /// The engine still has the job that was given up: neither its place nor its id may be used again before it answers.
  @Test func anAbandonedJobKeepsItsPlace() throws {
    var script = SessionScript(concurrency: 1)
    script.run("a", deadline: .seconds(1))
    script.pass(.seconds(1))
    let first = try script.request("a")
    #expect(script.run("b").isEmpty, "one job at a time")
    #expect(script.run("c", deadline: .seconds(1)).isEmpty)
    #expect(script.run("d").isEmpty)
    #expect(script.cancel("d") == [.jobEnded(jobID: "d", .cancelled)])
    script.pass(.seconds(1))
    #expect(script.ends(of: "c") == [.deadline])
    #expect(script.refuse(first, RPCError(.cancelled, "stopped")).methods == ["job/run"])
    try script.finish("b")
    guard case .succeeded? = script.ends(of: "b").first else {
      Issue.record("b was not run")
      return
    }
    #expect(script.session.jobsInFlight == 0)
  }

  @Test func theNextAttemptWaitsForTheOneBefore() throws {
    var script = SessionScript()
    script.run("a")
    script.chunk("a", 7)
    #expect(script.ends(of: "a").count == 1)
    #expect(script.run("a", attempt: 2).isEmpty)
    script.chunk("a", 1)
    #expect(script.log.filter { if case .jobChunk = $0 { true } else { false } }.isEmpty, "of the first attempt")
    let first = try script.request("a")
    #expect(script.answer(first, ["output": ["text": "first"]]).methods == ["job/run"])
    #expect(script.ends(of: "a").count == 1)
    try script.finish("a", "second")
    #expect(script.ends(of: "a").last == .succeeded(JobRunResult(output: ["text": "second"])))
  }

  @Test func heldJobsSurviveAnEngineThatIgnoresTheCancel() {
    var script = SessionScript(concurrency: 1)
    script.run("a", deadline: .seconds(1))
    script.pass(.seconds(1))
    script.run("b")
    script.pass(.seconds(5))
    guard case .lost(.notBegun)? = script.ends(of: "b").first else {
      Issue.record("\(script.ends(of: "b"))")
      return
    }
    #expect(script.ends(of: "a") == [.deadline])
  }
}

extension SessionScript {
  var steps: [Int] {
    log.compactMap { action in if case .jobProgress(_, let progress) = action { progress.step } else { nil } }
  }
}
