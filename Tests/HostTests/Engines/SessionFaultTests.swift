import PluginProtocol
import Testing

@testable import Host

/// What a broken engine says, and what becomes of it and of its jobs.
struct SessionFaultTests {
  @Test func ofTwoResultsTheFirstCounts() throws {
    var script = SessionScript()
    script.run("a")
    try script.finish("a", "first")
    try script.finish("a", "second")
    #expect(script.ends(of: "a") == [.succeeded(JobRunResult(output: ["text": "first"]))])
    #expect(script.session.counters.late == 1)
    #expect(script.kills.isEmpty)
  }

  @Test func whatIsDroppedFillsNoLog() {
    var script = SessionScript()
    script.run("a")
    for _ in 0..<1000 { script.line(#"{"jsonrpc":"2.0","id":99,"result":{}}"#) }
    let remarks = script.log.count { if case .protocolError = $0 { true } else { false } }
    #expect(remarks == script.session.limits.protocolErrorsPerMinute)
    #expect(script.session.counters.late == 1000 && script.kills.isEmpty)
  }

  @Test(arguments: [
    #"{"jsonrpc":"2.0","id":99,"result":{}}"#, #"{"jsonrpc":"2.0","id":"x","result":{}}"#,
    #"{"jsonrpc":"2.0","id":-1,"error":{"code":1,"message":"m"}}"#,
    #"{"jsonrpc":"2.0","method":"job/chunk","params":{"jobId":"zz","seq":1,"text":"x"}}"#,
    #"{"jsonrpc":"2.0","method":"job/progress","params":{"jobId":"zz"}}"#,
    #"{"jsonrpc":"2.0","method":"model/progress","params":{"model":"zz"}}"#,
  ])
  func unknownIDsAreDroppedAndCounted(line: String) throws {
    var script = SessionScript()
    script.run("a")
    // At most a remark for the log.
    let isQuiet = script.line(line).allSatisfy { if case .protocolError = $0 { true } else { false } }
    #expect(isQuiet)
    #expect(script.session.counters.late == 1)
    #expect(script.session.counters.protocolErrors == 0)
    try script.finish("a")
    #expect(script.ends(of: "a").count == 1)
  }

  @Test func unknownMethodsAndFieldsAreIgnored() throws {
    var script = SessionScript()
    #expect(script.line(#"{"jsonrpc":"2.0","method":"weather","params":{"rain":true},"extra":1}"#).isEmpty)
    let answer = script.line(#"{"jsonrpc":"2.0","id":"q","method":"tell/me","params":{}}"#)
    guard case .failure(.text("q"), let error)? = answer.first?.sent else {
      Issue.record("no refusal: \(answer)")
      return
    }
    #expect(error.code == RPCError.methodNotFoundCode)
    #expect(script.session.counters.unknown == 2)
    #expect(script.session.counters.protocolErrors == 0)
  }

  @Test(arguments: [
    #"{"#, #"{"jsonrpc":"2.0"}"#, #"{"jsonrpc":"1.0","method":"log","params":{}}"#,
    #"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#, #"{"jsonrpc":"2.0","method":7}"#,
    #"{"jsonrpc":"2.0","method":"job/chunk","params":{"jobId":"a","seq":"one"}}"#,
    #"{"jsonrpc":"2.0","method":"job/chunk","params":[]}"#,
    #"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
    #"{"jsonrpc":"2.0","id":1.5,"result":{}}"#, "{\"jsonrpc\":\"2.0\",\"method\":\"\u{1}\"}", "{}{}",
    String(repeating: #"{"a":"#, count: 100_000),
  ])
  func garbageIsOneProtocolError(line: String) throws {
    var script = SessionScript()
    script.run("a")
    let actions = script.line(line)
    guard actions.count == 1, case .protocolError(_, let evidence) = actions[0] else {
      Issue.record("\(actions)")
      return
    }
    #expect(line.hasPrefix(evidence) && evidence.utf8.count <= 1024)
    #expect(script.session.counters.protocolErrors == 1)
    try script.finish("a")
    #expect(script.ends(of: "a").count == 1)
  }

  @Test func badUTF8IsOneProtocolError() {
    var script = SessionScript()
    script.event(
      .line(Array(#"{"jsonrpc":"2.0","method":"log","params":{"message":""#.utf8) + [0xFF, 0xFE] + Array("\"}}".utf8)))
    #expect(script.session.counters.protocolErrors == 1)
  }

  @Test func theBudgetOfProtocolErrorsIsAMinutes() {
    var script = SessionScript()
    for _ in 0..<16 { script.line("{") }
    #expect(script.kills.isEmpty)
    script.pass(.seconds(60))
    for _ in 0..<16 { script.line("{") }
    #expect(script.kills.isEmpty)
    script.run("a")
    script.line(#"{"the last straw"#)
    guard case .protocolErrors(16, let last)? = script.kills.first else {
      Issue.record("\(script.kills)")
      return
    }
    #expect(last.contains("the last straw"), "shows the bytes")
    #expect(script.ends(of: "a").count == 1)
    #expect(script.line("{").isEmpty, "nothing is looked at any more")
  }

  @Test func noiseHasABudgetOfItsOwn() {
    var script = SessionScript()
    for count in 0..<1000 { script.line("token \(count)") }
    #expect(script.kills.isEmpty)
    #expect(script.session.counters.noise == 1000 && script.session.counters.protocolErrors == 0)
    script.line("one more")
    #expect(script.kills == [.noise(1000)])
    #expect(script.kills[0].description.contains("did you print to stdout?"))
  }

  @Test func aWrongResultFailsTheJobOnly() throws {
    var script = SessionScript()
    script.run("a")
    script.answer(try script.request("a"), ["output": "text"])
    guard case .failed(let error)? = script.ends(of: "a").first else {
      Issue.record("\(script.ends(of: "a"))")
      return
    }
    #expect(error.failureClass == .engineFault)
    #expect(script.session.counters.protocolErrors == 1 && script.kills.isEmpty)
  }

  // MARK: Overlong lines

  @Test(arguments: [
    #"{"jsonrpc":"2.0","id":ID,"result":{"output":{"text":"\"id\":3,"#,
    #"{"jsonrpc": "2.0", "id": ID, "result": {"output"#,
    #"{ "id" : ID , "result":{"id":2,"jobId":"a"#, #"{"result":"{\"id\":1}","id":ID,"jsonrpc":"2.0","padding":"x"#,
  ])
  func anOverlongAnswerFailsItsJobAndKeepsTheEngine(form: String) throws {
    var script = SessionScript()
    for job in ["a", "b", "c"] { script.run(job) }
    let prefix = form.replacing("ID", with: "\(try script.request("b"))")
    script.event(.overlong(length: 5 << 20, prefix: Array(prefix.utf8)))
    #expect(script.ends(of: "a").isEmpty && script.ends(of: "c").isEmpty)
    guard case .failed(let error)? = script.ends(of: "b").first else {
      Issue.record("\(script.log.suffix(3))")
      return
    }
    #expect(error.message.contains("5242880"))
    script.pass(.seconds(30))
    #expect(script.kills.isEmpty, "the engine has answered: there is nothing to cancel")
    #expect(script.session.jobsInFlight == 2)
  }

  @Test func anOverlongChunkAbandonsItsJob() throws {
    var script = SessionScript()
    script.run("a")
    script.run("b")
    let prefix = #"{"jsonrpc":"2.0","method":"job/chunk","params":{"jobId":"b","seq":1,"text":"{\"id\":2,"#
    script.event(.overlong(length: 2 << 20, prefix: Array(prefix.utf8)))
    #expect(script.ends(of: "a").isEmpty)
    #expect(script.ends(of: "b").count == 1)
    #expect(script.log.methods.last == "job/cancel")
    script.refuse(try script.request("b"), RPCError(.cancelled, "stopped"))
    #expect(script.session.jobsInFlight == 1 && script.ends(of: "b").count == 1)
  }

  @Test func anOverlongLineThatNamesNobody() {
    for (jobs, ended) in [(["a"], 1), (["a", "b"], 0)] {
      var script = SessionScript()
      for job in jobs { script.run(job) }
      script.event(.overlong(length: 2 << 20, prefix: Array(#"{"result":{"output":{"text":"xxxx"#.utf8)))
      #expect(script.log.filter { if case .jobEnded = $0 { true } else { false } }.count == ended)
      #expect(script.kills.isEmpty)
    }
    var script = SessionScript()
    script.run("a")
    script.event(.overlong(length: 2 << 20, prefix: Array("progress: ##########".utf8)))
    #expect(script.ends(of: "a").isEmpty && script.session.counters.noise == 1)
  }

  @Test func overlongLinesAreProtocolErrorsWithABudget() {
    var script = SessionScript()
    for job in 0..<17 {
      script.run("\(job)")
      script.event(.overlong(length: 2 << 20, prefix: Array(#"{"jsonrpc":"2.0","method":"log","params":{"#.utf8)))
    }
    #expect(script.kills.count == 1)
  }

  // MARK: Loads, pings, the end

  @Test func aSilentLoadIsKilledAndALivelyOneIsNot() {
    var silent = SessionScript()
    silent.load("m")
    silent.pass(.seconds(60))
    #expect(silent.kills == [.loadStalled(model: "m", .seconds(60))])
    #expect(silent.log.contains { if case .loadEnded("m", .failure) = $0 { true } else { false } })

    var lively = SessionScript()
    lively.load("m")
    for _ in 0..<29 {
      lively.line(#"{"jsonrpc":"2.0","method":"model/progress","params":{"model":"m","fraction":0.5}}"#)
      lively.pass(.seconds(59))
    }
    #expect(lively.kills.isEmpty)
    lively.answer(2, ["memoryBytes": 5])
    #expect(lively.log.last == .loadEnded(model: "m", .success(ModelLoadResult(memoryBytes: 5))))
    #expect(lively.session.nextDeadline == nil)

    var endless = SessionScript()
    endless.load("m")
    for _ in 0..<31 {
      endless.line(#"{"jsonrpc":"2.0","method":"model/progress","params":{"model":"m","fraction":0.5}}"#)
      endless.pass(.seconds(59))
    }
    #expect(endless.kills == [.loadTooLong(model: "m", .seconds(1800))])
  }

  @Test func anUnloadAndAPingHaveClocks() {
    var script = SessionScript()
    #expect(script.note(script.session.unload(model: "m", now: script.clock.now())).methods == ["model/unload"])
    #expect(script.answer(2, [:]) == [.unloadEnded(model: "m", nil)])
    script.note(script.session.ping(now: script.clock.now()))
    #expect(script.answer(3, [:]) == [.pong])
    #expect(script.session.nextDeadline == nil)
    script.note(script.session.unload(model: "m", now: script.clock.now()))
    script.pass(.seconds(60))
    #expect(script.kills == [.unloadStalled(model: "m", .seconds(60))])

    var deaf = SessionScript()
    deaf.run("a")
    deaf.note(deaf.session.ping(now: deaf.clock.now()))
    deaf.pass(.seconds(5))
    #expect(deaf.kills == [.pingUnanswered(.seconds(5))])
  }

  @Test func deathEndsEverythingOnce() {
    var script = SessionScript()
    for job in ["a", "b"] { script.run(job) }
    script.cancel("b")
    script.load("m")
    script.note(script.session.unload(model: "n", now: script.clock.now()))
    script.died()
    #expect(script.ends(of: "a") == [.lost(.died("exit status 1"))])
    #expect(script.ends(of: "b") == [.cancelled])
    #expect(script.log.contains { if case .loadEnded("m", .failure) = $0 { true } else { false } })
    #expect(script.log.contains { if case .unloadEnded("n", .some) = $0 { true } else { false } })
    let count = script.log.count
    script.died()
    script.pass(.seconds(9999))
    script.cancel("a")
    script.note(script.session.abort(.closedOutput))
    #expect(script.log.count == count)
    #expect(script.run("c") == [.jobEnded(jobID: "c", .lost(.notBegun("the engine takes no jobs any more")))])
  }

  @Test func whileClosingJobsGoOnAndNoneBegins() throws {
    var script = SessionScript()
    script.run("a")
    script.run("b")
    script.note(script.session.shutdown())
    #expect(script.run("c").count == 1)
    guard case .lost(.notBegun)? = script.ends(of: "c").first else {
      Issue.record("begun")
      return
    }
    try script.finish("a")
    guard case .succeeded? = script.ends(of: "a").first else {
      Issue.record("a result while closing was lost")
      return
    }
    script.refuse(try script.request("b"), RPCError(.cancelled, "leaving"))
    guard case .lost? = script.ends(of: "b").first else {
      Issue.record("given up by the engine because it leaves: not the job's failure")
      return
    }
    guard case .loadEnded("m", .failure)? = script.load("m").first else {
      Issue.record("loaded")
      return
    }
  }
}
