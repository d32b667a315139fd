import PluginProtocol
import Testing

@testable import Host

struct SessionHandshakeTests {
  @Test func goodAnswerMakesItReady() throws {
    var script = SessionScript(ready: false)
    #expect(script.start().methods == ["initialize"])
    #expect(
      script.run("early").contains(.jobEnded(jobID: "early", .lost(.notBegun("the engine takes no jobs any more")))))
    let actions = script.answer(1, SessionScript.welcome(concurrency: 3, lineBytes: 2 << 20))
    guard case .ready(let description)? = actions.first else {
      Issue.record("not ready: \(actions)")
      return
    }
    #expect(description.concurrency == 3)
    #expect(description.lineBytes == 2 << 20)
    #expect(description.abilities.keepsModels && description.abilities.sendsChunks)
    #expect(script.session.phase == .ready)
    #expect(script.start().isEmpty, "a second handshake")
  }

  @Test(arguments: [
    (1, 1 << 20, 1 << 20), (4 << 20, 2 << 20, 2 << 20), (64 << 20, 16 << 20, 16 << 20), (512, 16 << 20, 1 << 20),
  ])
  func lineCapIsNeverAboveTheOffer(wished: Int, offered: Int, agreed: Int) {
    var script = SessionScript(ready: false)
    script.start(SessionScript.offer(lineBytes: offered))
    script.answer(1, SessionScript.welcome(lineBytes: wished))
    #expect(script.session.description?.lineBytes == agreed)
  }

  @Test func refusalNamesBothLists() throws {
    var script = SessionScript(ready: false)
    script.start(SessionScript.offer(versions: [1, 2]))
    let actions = script.refuse(1, RPCError(.unsupported, "This engine speaks 7, 8."))
    guard case .incompatible(let text)? = actions.first else {
      Issue.record("not incompatible: \(actions)")
      return
    }
    #expect(text.contains("1, 2") && text.contains("7, 8"))
    #expect(script.kills.count == 1)
    #expect(script.session.phase == .ended)
  }

  @Test(arguments: [0, 2, 99, -1])
  func foreignVersionIsIncompatible(version: Int) {
    var script = SessionScript(ready: false)
    script.start()
    let actions = script.answer(1, SessionScript.welcome(version: version))
    guard case .incompatible(let text)? = actions.first else {
      Issue.record("not incompatible: \(actions)")
      return
    }
    #expect(text.contains("speaks 1") && text.contains("\(version)"))
  }

  @Test(arguments: [
    ("{}", "no version"), ("[]", "no version"), (#"{"protocolVersion":"one"}"#, #"the version "one""#),
    (#"{"protocolVersion":1.5,"engine":{"name":"x"}}"#, "the version 1.5"),
  ])
  func aVersionThatIsNoneIsNotCommon(result: String, said: String) {
    var script = SessionScript(ready: false)
    script.start()
    let actions = script.line(#"{"jsonrpc":"2.0","id":1,"result":\#(result)}"#)
    guard case .incompatible(let text)? = actions.first else {
      Issue.record("not incompatible: \(actions)")
      return
    }
    #expect(text.contains("speaks 1") && text.contains(said), "\(text)")
    #expect(script.kills.count == 1)
  }

  @Test(arguments: [#"{"protocolVersion":1}"#, #"{"protocolVersion":1,"engine":"x"}"#])
  func nonsenseIsABadHandshake(result: String) {
    var script = SessionScript(ready: false)
    script.start()
    script.line(#"{"jsonrpc":"2.0","id":1,"result":\#(result)}"#)
    guard case .badHandshake? = script.kills.first else {
      Issue.record("not killed for its handshake: \(script.kills)")
      return
    }
    #expect(script.kills.count == 1)
  }

  @Test func silenceEndsItAtTheClock() {
    var script = SessionScript(ready: false)
    script.start()
    #expect(script.pass(.milliseconds(9999)).isEmpty)
    #expect(script.pass(.milliseconds(1)) == [.kill(.startTimeout(.seconds(10)))])
    #expect(script.pass(.seconds(60)).isEmpty)
    #expect(script.session.nextDeadline == nil)
  }

  @Test func noiseBeforeTheAnswerIsTolerated() {
    var script = SessionScript(ready: false)
    script.start()
    script.line("Loading libraries…")
    script.line("")
    script.answer(1, SessionScript.welcome())
    #expect(script.session.phase == .ready)
    #expect(script.session.counters.noise == 1)
  }

  @Test func shutdownWhileStartingIgnoresTheLateAnswer() {
    var script = SessionScript(ready: false)
    script.start()
    #expect(script.note(script.session.shutdown()).methods == ["shutdown"])
    #expect(script.answer(1, SessionScript.welcome()).isEmpty)
    #expect(script.session.description == nil)
    #expect(script.answer(2, [:]) == [.farewell])
    #expect(script.note(script.session.shutdown()).isEmpty, "asked once")
  }
}
