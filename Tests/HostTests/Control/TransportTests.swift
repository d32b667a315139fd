import Glibc
import PluginProtocol
import Synchronization
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(1)))
struct TransportTests {
  @Test(arguments: Transport.allCases)
  func answers(_ transport: Transport) async throws {
    try await transport.with(ProbeHandler()) { connection in
      let params: JSONValue = ["text": "line\u{2028}one\nline two", "number": 7]
      let answer = try await connection.call("echo", params)
      #expect(answer == params)
    }
  }

  @Test(arguments: Transport.allCases)
  func carriesErrorsWithTheirClass(_ transport: Transport) async throws {
    try await transport.with(ProbeHandler()) { connection in
      await #expect(throws: RPCError(control: .notFound, "there is no such thing")) {
        try await connection.call("refuse")
      }
      await #expect {
        try await connection.call("break")
      } throws: { error in
        (error as? RPCError)?.controlFailure == .internal
      }
    }
  }

  @Test(arguments: Transport.allCases)
  func deliversEventsInOrderBeforeTheAnswer(_ transport: Transport) async throws {
    try await transport.with(ProbeHandler()) { connection in
      let seen = Mutex<[Int64]>([])
      let answer = try await connection.call("stream", ["count": 2000]) { event in
        seen.withLock { $0.append(event["index"]?.int ?? -1) }
      }
      #expect(answer == ["sent": 2000])
      #expect(seen.withLock { $0 } == Array(0..<2000))
    }
  }

  @Test(arguments: Transport.allCases)
  func answersManyAtOnce(_ transport: Transport) async throws {
    try await transport.with(ProbeHandler()) { connection in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<40 {
          group.addTask {
            let params: JSONValue = [
              "index": JSONValue(index), "bulk": .string(String(repeating: "y", count: 100_000)),
            ]
            let answer = try await connection.call("echo", params)
            #expect(answer == params)
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test(arguments: Transport.allCases)
  func leavingACallCancelsItsHandler(_ transport: Transport) async throws {
    let handler = ProbeHandler()
    try await transport.with(handler) { connection in
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await #expect(throws: CancellationError.self) { try await connection.call("hang") }
        }
        await handler.counters.wait(for: "hanging")
        group.cancelAll()
        await group.waitForAll()
      }
      await handler.counters.wait(for: "cancelled")
    }
    #expect(handler.counters.count("cancelled") == 1)
  }

  @Test func aWorkerThatIsNotThereHasAName() async throws {
    let missing = "/tmp/stoker-no-such-directory/control.sock"
    await #expect(throws: ControlError.noWorker(path: missing)) {
      try await SocketConnection(path: missing).call("echo")
    }
    #expect(ControlError.noWorker(path: missing).description.contains("start one with `stoker run`"))
  }

  @Test func aWorkerThatDiesMidCallIsSaid() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      let listener = try ControlListener(path: path)
      _ = fcntl(listener.descriptor, F_SETFL, 0)
      let descriptor = listener.descriptor
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await #expect(throws: ControlError.disconnected(path: path)) {
            try await SocketConnection(path: path).call("echo")
          }
        }
        await blocking { _ = close(accept(descriptor, nil, nil)) }
        await group.waitForAll()
      }
    }
  }

  @Test func aRequestOverTheLimitIsRefusedBeforeItIsSent() async throws {
    let bulk = JSONValue.string(String(repeating: "z", count: ControlProtocol.maximumLineBytes))
    await #expect {
      try await SocketConnection(path: "/tmp/none").call("echo", ["bulk": bulk])
    } throws: { error in
      if case ControlError.requestTooLarge? = error as? ControlError { true } else { false }
    }
  }
}
