import PluginProtocol
import Testing

@testable import Host

/// A generator that gives the same numbers for the same seed on every machine (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// Whatever an engine and a host do, in whatever order: the promises of a session hold.
struct SessionRandomWalkTests {
  /// What a walk has seen of each job.
  struct Ledger {
    var begun: [String: Int] = [:]
    var ended: [String: Int] = [:]

    mutating func check(_ actions: [SessionAction]) {
      for action in actions {
        switch action {
        case .jobEnded(let job, _): ended[job, default: 0] += 1
        case .jobChunk(let job, _), .jobProgress(let job, _):
          #expect(ended[job, default: 0] < begun[job, default: 0], "job \(job) was heard of after its end")
        default: break
        }
      }
      for (job, count) in ended { #expect(count <= begun[job, default: 0], "job \(job) ended \(count) times") }
    }
  }

  @Test(arguments: 0..<60)
  func everyJobEndsOnce(seed: UInt64) throws {
    var numbers = SeededNumbers(seed)
    var limits = SessionLimits()
    limits.jobStall = .seconds(20)
    limits.job = .seconds(90)
    limits.chunkCredit = 3
    // Most walks are long: they shall not end by the budgets, or by a kill, too soon.
    limits.protocolErrorsPerMinute = seed % 3 == 0 ? 16 : 100_000
    limits.noisePerMinute = 100_000
    var script = SessionScript(limits, concurrency: 3)
    var ledger = Ledger()
    var next = 0
    var open: [String] = []
    var chunks: [String: Int] = [:]

    for step in 0..<600 {
      guard script.session.phase != .ended else { break }
      var actions: [SessionAction] = []
      let job = open.randomElement(using: &numbers) ?? "none"
      switch Int.random(in: 0..<100, using: &numbers) {
      case 0..<18:
        guard open.count < 3 else { continue }
        next += 1
        let id = "job\(next)"
        ledger.begun[id] = 1
        chunks[id] = 0
        actions = script.run(id, deadline: Bool.random(using: &numbers) ? .seconds(15) : nil)
        open.append(id)
      case 18..<24: actions = script.cancel(job)
      case 24..<34: actions = script.progress(job, step: Int.random(in: 0..<4, using: &numbers))
      case 34..<52:
        chunks[job, default: 0] += 1
        actions = script.chunk(job, chunks[job, default: 0])
      case 52..<56: actions = script.credit(job, through: chunks[job, default: 0] + 3)
      case 56..<70: if let id = script.requests[job] { actions = script.answer(id, ["output": [:]]) }
      case 70..<73: if let id = script.requests[job] { actions = script.refuse(id, RPCError(.cancelled, "c")) }
      case 73..<75: actions = script.answer(Int64.random(in: 0..<20, using: &numbers), [:])
      case 75..<77: actions = script.line("{broken")
      case 77..<79: actions = script.line("noise")
      case 79:
        actions = script.event(.overlong(length: 2 << 20, prefix: Array(#"{"jsonrpc":"2.0","id":\#(step),"#.utf8)))
      case 80: actions = script.load("m\(step)")
      case 81: actions = script.note(script.session.ping(now: script.clock.now()))
      case 82: if seed % 5 == 0 { actions = script.died() }
      case 83: if seed % 7 == 0, step > 300 { actions = script.note(script.session.shutdown()) }
      default: actions = script.pass(.milliseconds(Int64.random(in: 1..<900, using: &numbers)))
      }
      ledger.check(actions)
      open.removeAll { ledger.ended[$0] != nil }
    }

    // Left alone with its clocks, the session comes to rest: each look at the due instant makes progress.
    var looks = 0
    while let due = script.session.nextDeadline, script.session.phase != .ended {
      looks += 1
      try #require(looks < 1000, "the clock rings for ever")
      if due > script.clock.now() { script.clock.advance(by: script.clock.now().duration(to: due)) }
      ledger.check(script.note(script.session.tick(now: script.clock.now())))
      if let after = script.session.nextDeadline {
        #expect(after > script.clock.now(), "a look at the clock left something that was due")
      }
    }
    ledger.check(script.died())
    for (job, count) in ledger.begun { #expect(ledger.ended[job] == count, "job \(job) never ended") }
    #expect(script.session.jobsInFlight == 0 && script.session.pending.isEmpty && script.session.loads.isEmpty)
    #expect(script.session.held.isEmpty && script.session.due.isEmpty)
    #expect(script.session.nextDeadline == nil)
  }
}
