import PluginProtocol
import Testing
import WireTestSupport

@Suite("The kit: handshake and robustness", .timeLimit(.minutes(1)))
struct HandshakeTests {
  @Test func introducesItself() async throws {
    try await serving(ScriptedEngine()) { host in
      let result = try await host.greet()
      #expect(
        result
          == InitializeResult(
            protocolVersion: 1, engine: PeerVersion(name: "scripted", version: "1.2.3"),
            features: ["chunks", "progress", "model-residency", "content-files"], concurrency: 16,
            models: ["scripted-*"]))
    }
  }

  @Test("without a common version both lists are named, and a better offer is taken", arguments: [[], [0], [2, 3]])
  func versions(_ offer: [Int]) async throws {
    try await serving(ScriptedEngine()) { host in
      let error = try await host.failure(of: host.request(Method.initialize, WireClient.hello(versions: offer)))
      #expect(error.failureClass == .unsupported)
      #expect(error.message.contains("\(offer)") && error.message.contains("[1]"))
      let result = try await host.call(Method.initialize, WireClient.hello(versions: [7, 1]))
      #expect(result["protocolVersion"] == 1)
    }
  }

  @Test func initializeComesFirstAndOnce() async throws {
    let engine = ScriptedEngine()
    try await serving(engine) { host in
      let early = host.run("llm", ["do": "keep"], id: "early")
      #expect(try await host.failure(of: early).code == RPCError.invalidRequestCode)
      _ = try await host.call(Method.ping)
      _ = try await host.greet()
      let again = try await host.failure(of: host.request(Method.initialize, WireClient.hello()))
      #expect(again.code == RPCError.invalidRequestCode)
    }
    #expect(engine.calls == ["initialize"])
  }

  @Test func aRefusedInitializeMayBeTriedAgain() async throws {
    try await serving(ScriptedEngine()) { host in
      guard case .object(var params) = WireClient.hello() else { return }
      params["config"] = ["refuse": true]
      let error = try await host.failure(of: host.request(Method.initialize, .object(params)))
      #expect(error.failureClass == .resource && error.message == "no device")
      _ = try await host.greet()
    }
  }

  @Test func unknownMethodsNotificationsAndMembers() async throws {
    try await serving(ScriptedEngine()) { host in
      let unknown = try await host.failure(of: host.request("job/estimate"))
      #expect(unknown.code == RPCError.methodNotFoundCode && unknown.message.contains("job/estimate"))
      host.notify("job/applause", ["jobId": "j"])
      host.notify(Method.jobCancel, ["jobId": "nobody"])
      host.notify(Method.jobCredit, ["jobId": "nobody", "through": 5])
      guard case .object(var params) = WireClient.hello() else { return }
      params["colour"] = "green"
      _ = try await host.call(Method.initialize, .object(params))
      host.send(line: #"{"jsonrpc":"2.0","id":77,"method":"ping","later":[1],"params":{"x":1}}"#)
      #expect(try await host.answer(to: .number(77)) == [:])
      #expect(host.pending.isEmpty)
    }
  }

  @Test(
    "a bad line is answered, and the next one is served",
    arguments: [
      ("{", RPCError.parseErrorCode), ("not json", RPCError.parseErrorCode),
      (#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, RPCError.parseErrorCode),
      ("[*", RPCError.parseErrorCode),
      ("{\"a\":1*", RPCError.parseErrorCode),
      ("[]", RPCError.invalidRequestCode), ("7", RPCError.invalidRequestCode),
      (#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, RPCError.invalidRequestCode),
      (#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#, RPCError.invalidRequestCode),
      (" *", RPCError.invalidRequestCode),
    ])
  func badLines(_ pattern: String, _ code: Int) async throws {
    // A star at the end repeats the character before it: blanks to one byte over the cap, others up to it.
    var line = pattern
    if line.removeLast() == "*", let repeated = line.last {
      let length = LineFramer.defaultLineBytes + (repeated == " " ? 1 : 0)
      line += String(repeating: repeated, count: length - line.count)
    } else {
      line = pattern
    }
    try await serving(ScriptedEngine()) { host in
      host.send(line: line)
      guard case .failure(nil, let error) = try await host.next() else {
        Issue.record("no error without an id")
        return
      }
      #expect(error.code == code && error.message.utf8.count < 500)
      _ = try await host.call(Method.ping)
    }
  }

  @Test func badUTF8IsAnswered() async throws {
    try await serving(ScriptedEngine()) { host in
      host.send(bytes: Array(#"{"jsonrpc":"2.0","method":""#.utf8) + [0xC3, 0x28] + Array("\"}\n".utf8))
      guard case .failure(nil, let error) = try await host.next() else {
        Issue.record("no error")
        return
      }
      #expect(error.code == RPCError.parseErrorCode)
      _ = try await host.call(Method.ping)
    }
  }

  @Test func blankLinesAndBadNotificationsAreHarmless() async throws {
    try await serving(ScriptedEngine()) { host in
      host.send(line: "")
      host.send(line: "  \t\r")
      host.send(line: #"{"jsonrpc":"2.0","id":5,"result":{}}"#)
      host.notify(Method.jobCancel, ["jobId": 5])
      let log = try LogMessage(try await host.notification(Method.log))
      #expect(log.message.contains("params.jobId"))
      _ = try await host.call(Method.ping)
      #expect(host.pending.isEmpty)
    }
  }

  @Test func badParamsNameTheMember() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let error = try await host.failure(of: host.request(Method.jobRun, ["jobId": "j"]))
      #expect(error.code == RPCError.invalidParamsCode && error.message.contains("params.kind"))
    }
  }

  @Test(
    "a line cap is agreed on: no less than 1 MiB, no more than was offered",
    arguments: [
      [4_194_304, 16_777_216, 4_194_304], [16_777_216, 2_097_152, 2_097_152], [1, 16_777_216, 1_048_576],
      [1_000_000_000, 1_000_000_000, 16_777_216], [4_194_304, 5, 1_048_576],
    ])
  func lineCap(_ wishOfferAgreed: [Int]) async throws {
    let (wish, offer, agreed) = (wishOfferAgreed[0], wishOfferAgreed[1], wishOfferAgreed[2])
    try await serving(ScriptedEngine(lineBytes: wish)) { host in
      guard case .object(var params) = WireClient.hello() else { return }
      params["limits"] = ["lineBytes": JSONValue(offer)]
      let result = try InitializeResult(try await host.call(Method.initialize, .object(params)))
      #expect(result.lineBytes == agreed)
      let ping = #"{"jsonrpc":"2.0","id":9,"method":"ping"}"#
      host.send(line: ping + String(repeating: " ", count: agreed - ping.utf8.count))
      #expect(try await host.answer(to: .number(9)) == [:])
      host.send(line: ping + String(repeating: " ", count: agreed - ping.utf8.count + 1))
      guard case .failure(nil, let error) = try await host.next() else {
        Issue.record("no error")
        return
      }
      #expect(error.message.contains("over the cap"))
    }
  }

  @Test func modelsAreLoadedWithProgressAndUnloaded() async throws {
    let engine = ScriptedEngine()
    try await serving(engine) { host in
      _ = try await host.greet()
      let result = try await host.call(Method.modelLoad, ["model": ["id": "m"]])
      #expect(try ModelLoadResult(result).memoryBytes == 42)
      #expect(try ModelProgress(try await host.notification(Method.modelProgress)).fraction == 0.5)
      let error = try await host.failure(of: host.request(Method.modelLoad, ["model": ["id": "broken"]]))
      #expect(error.failureClass == .badInput && error.data["evidence"] == "magic 00")
      #expect(try await host.call(Method.modelUnload, ["model": ["id": "m"]]) == [:])
    }
    #expect(engine.calls.contains("unload m"))
  }

  @Test func endOfInputEnds() async throws {
    let engine = ScriptedEngine()
    let ending = try await serving(engine) { host in
      _ = try await host.greet()
      _ = host.run("llm", ["do": "swallow cancel"], id: "waiting", credit: 0)
      _ = try await host.notification(Method.jobProgress)
      // A partial line at the end is not a message.
      host.send(bytes: Array(#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#.utf8))
    }
    #expect(ending == .endOfInput)
    #expect(engine.calls == ["initialize", "ended waiting"])
  }
}
