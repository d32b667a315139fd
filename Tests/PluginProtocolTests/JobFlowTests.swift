import PluginProtocol
import Testing
import WireTestSupport

@Suite("The kit: jobs", .timeLimit(.minutes(1)))
struct JobFlowTests {
  @Test func pingIsAnsweredWhileAJobRuns() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let job = host.run("llm", ["do": "chunks", "count": 1], id: "j", credit: 0)
      _ = try await host.call(Method.ping)
      host.notify(Method.jobCredit, ["jobId": "j", "through": 1])
      _ = try await host.answer(to: job)
    }
  }

  @Test("a cancel right behind the job, twice, ends it once")
  func cancelAtOnce() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      for round in 0..<50 {
        let job = host.run("llm", ["do": "chunks", "count": 3], id: "j\(round)", credit: 0)
        host.notify(Method.jobCancel, ["jobId": .string("j\(round)")])
        host.notify(Method.jobCancel, ["jobId": .string("j\(round)")])
        let error = try await host.failure(of: job)
        #expect(error.failureClass == .cancelled && error.code == FailureClass.cancelled.code)
      }
      _ = try await host.call(Method.ping)
      #expect(host.pending.isEmpty)
    }
  }

  @Test func cancelMidway() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let job = host.run("llm", ["do": "chunks", "count": 100], id: "j", credit: 2)
      for seq in 1...2 { #expect(try JobChunk(try await host.notification(Method.jobChunk)).seq == seq) }
      host.notify(Method.jobCancel, ["jobId": "j"])
      #expect(try await host.failure(of: job).failureClass == .cancelled)
      host.notify(Method.jobCredit, ["jobId": "j", "through": 100])
      _ = try await host.call(Method.ping)
      #expect(host.pending.isEmpty)
    }
  }

  @Test func cancelAfterTheEndAndBeforeTheStartChangesNothing() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      host.notify(Method.jobCancel, ["jobId": "j"])
      let job = host.run("llm", ["do": "big", "bytes": 3], id: "j")
      #expect(try await host.answer(to: job)["output"]?["text"] == "jjj")
      host.notify(Method.jobCancel, ["jobId": "j"])
      _ = try await host.call(Method.ping)
      #expect(host.pending.isEmpty)
    }
  }

  @Test("an engine that answers a cancel with a result has answered, once")
  func swallowedCancel() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let job = host.run("llm", ["do": "swallow cancel"], id: "j", credit: 0)
      _ = try await host.notification(Method.jobProgress)
      host.notify(Method.jobCancel, ["jobId": "j"])
      #expect(try await host.answer(to: job)["output"]?["cancelled"] == true)
      _ = try await host.call(Method.ping)
      #expect(host.pending.isEmpty)
    }
  }

  @Test("chunks stop where the credit ends, and go on without a gap")
  func credit() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let job = host.run("llm", ["do": "chunks", "count": 20], id: "j", credit: 3)
      var seen: [Int] = []
      for through in [3, 4, 10, 20] {
        // A smaller credit than before takes nothing back.
        host.notify(Method.jobCredit, ["jobId": "j", "through": JSONValue(through)])
        host.notify(Method.jobCredit, ["jobId": "j", "through": 1])
        while seen.count < through {
          let chunk = try JobChunk(try await host.notification(Method.jobChunk))
          #expect(chunk.text == "\(chunk.seq) ")
          seen.append(chunk.seq)
        }
        _ = try await host.call(Method.ping)
        if through < 20 { #expect(host.pending.isEmpty, "chunks beyond the credit") }
      }
      #expect(seen == Array(1...20))
      _ = try await host.answer(to: job)
    }
  }

  @Test("nothing of a job follows its terminal message, whatever the engine does")
  func nothingAfterTheEnd() async throws {
    let engine = ScriptedEngine()
    try await serving(engine) { host in
      _ = try await host.greet()
      _ = try await host.answer(to: host.run("llm", ["do": "keep"], id: "j"))
      _ = try await host.notification(Method.jobProgress)
      for job in engine.kept {
        job.progress(fraction: 1)
        try await job.chunk(text: "late")
      }
      _ = try await host.call(Method.ping)
      #expect(host.pending.isEmpty)
    }
  }

  @Test("progress from a stray thread never comes after the terminal message")
  func strayProgress() async throws {
    let engine = ScriptedEngine()
    try await serving(engine) { host in
      _ = try await host.greet()
      for round in 0..<100 {
        let id = host.run("llm", ["do": "keep"], id: "j\(round)")
        await withTaskGroup(of: Void.self) { group in
          group.addTask {
            for _ in 0..<20 {
              engine.kept.last?.progress(message: "stray")
              await Task.yield()
            }
          }
        }
        var ended = false
        while !ended {
          switch try await host.next() {
          case .response(id, _): ended = true
          case .notification(Method.jobProgress, _): continue
          case let other: Issue.record("\(other)")
          }
        }
        _ = try await host.call(Method.ping)
        #expect(host.pending.allSatisfy { if case .notification = $0 { false } else { true } }, "round \(round)")
      }
    }
  }

  @Test func sixteenAnswersOfAMebibyteAllParse() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet(without: .contentFiles)
      let bytes = (1 << 20) - 256
      let ids = (0..<16).map { index in
        host.run("llm", ["do": "big", "bytes": JSONValue(bytes)], id: "job-\(String(index, radix: 16))")
      }
      for (index, id) in ids.enumerated() {
        let text = try await host.answer(to: id)["output"]?["text"]?.string
        #expect(text?.utf8.count == bytes)
        #expect(text?.last == Character(String(index, radix: 16)) && text?.first == text?.last)
      }
      #expect(host.noise.isEmpty && host.pending.isEmpty)
    }
  }

  @Test func aRunningJobsIDIsNotTakenAgainButAnEndedOnesIs() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let first = host.run("llm", ["do": "chunks", "count": 1], id: "j", credit: 0)
      let second = host.run("llm", ["do": "big", "bytes": 1], id: "j")
      #expect(try await host.failure(of: second).code == RPCError.invalidParamsCode)
      host.notify(Method.jobCredit, ["jobId": "j", "through": 1])
      _ = try await host.answer(to: first)
      _ = try await host.answer(to: host.run("llm", ["do": "big", "bytes": 1], id: "j"))
    }
  }

  @Test(arguments: FailureClass.allCases)
  func errorsKeepTheirClass(_ failure: FailureClass) async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let error = try await host.failure(
        of: host.run("llm", ["do": "fail", "class": .string(failure.rawValue)], id: "j"))
      #expect(error == RPCError(failure, "failed as told", evidence: "e"))
    }
  }

  @Test func otherErrors() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let missing = try await host.failure(of: host.run("llm", [:], id: "a"))
      #expect(missing.failureClass == .badInput && missing.message.hasPrefix("task.do is missing"))
      let nested = try await host.failure(of: host.run("llm", ["do": "chunks", "count": "x"], id: "b"))
      #expect(nested.failureClass == .badInput && nested.message.hasPrefix("task.count"))
      #expect(try await host.failure(of: host.run("llm", ["do": "fault"], id: "c")).failureClass == .engineFault)
      let cancelled = host.run("llm", ["do": "fail", "class": "none"], id: "d")
      #expect(try await host.failure(of: cancelled).failureClass == .cancelled)
    }
  }

  @Test("shutdown tells the jobs, waits for them, answers last and reads no further")
  func shutdown() async throws {
    let engine = ScriptedEngine()
    let ending = try await serving(engine) { host in
      _ = try await host.greet()
      let jobs = (0..<4).map { host.run("llm", ["do": "chunks", "count": 1], id: "j\($0)", credit: 0) }
      let bye = host.request(Method.shutdown)
      let late = host.request(Method.ping)
      var terminal: [RequestID] = []
      while terminal.last != bye {
        switch try await host.next() {
        case .response(let id, _): terminal.append(id)
        case .failure(.some(let id), let error):
          #expect(error.failureClass == .cancelled)
          terminal.append(id)
        case let other: Issue.record("\(other)")
        }
      }
      #expect(Set(terminal.dropLast()) == Set(jobs) && terminal.count == jobs.count + 1)
      #expect(!terminal.contains(late) && host.pending.isEmpty)
    }
    #expect(ending == .shutdown)
    #expect(engine.calls.last == "shutdown")
  }
}
