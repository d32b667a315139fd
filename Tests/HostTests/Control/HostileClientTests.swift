import Glibc
import PluginProtocol
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(1)))
struct HostileClientTests {
  private func withClient(
    _ handler: ProbeHandler = ProbeHandler(), _ body: @Sendable (RawClient, String) async throws -> Void
  ) async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      try await withServer(handler, at: path) {
        try await body(try RawClient(path), path)
        // Whatever a client did, the next one is served.
        let answer = try await SocketConnection(path: path).call("echo", ["ok": true])
        #expect(answer == ["ok": true])
      }
    }
  }

  @Test func garbageIsAnsweredAndThenEndsTheConnection() async throws {
    try await withClient { client, _ in
      await client.send("not json\n")
      #expect(await client.line()?.contains("-32700") == true)
      await client.send("[1]\n")
      #expect(await client.line()?.contains("-32600") == true)
      await client.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":1}}\n")
      #expect(await client.line() == "{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":{\"a\":1}}")
      await client.send(String(repeating: "x\n", count: ControlProtocol.maximumGarbage))
      var answers = 0
      while await client.line() != nil { answers += 1 }
      #expect(answers == ControlProtocol.maximumGarbage - 2)
    }
  }

  @Test func anOverlongLineIsRefusedInBoundedMemory() async throws {
    try await withClient { client, _ in
      let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
      for _ in 0..<20 { await client.send(piece) }
      await client.send("\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\",\"params\":{}}\n")
      #expect(await client.line()?.contains("a line has 20971520 bytes and 16777216 are allowed") == true)
      #expect(await client.line()?.contains("\"id\":2") == true)
    }
  }

  @Test func aClientThatDoesNotReadStopsItsStream() async throws {
    let handler = ProbeHandler()
    try await withClient(handler) { client, _ in
      await client.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"flood\",\"params\":{}}\n")
      await handler.counters.wait(for: "sent", count: 4)
      // Another client is served meanwhile, often enough for the flood to have gone on if it could.
      let bystander = try RawClient(client.path)
      for index in 0..<200 {
        await bystander.send("{\"jsonrpc\":\"2.0\",\"id\":\(index),\"method\":\"echo\",\"params\":{}}\n")
        #expect(await bystander.line() != nil)
      }
      // The socket's own buffer (about 208 KiB), the high-water mark and one event more.
      #expect(handler.counters.count("sent") < 32)
      let before = handler.counters.count("sent")
      for _ in 0..<40 { _ = await client.line() }
      await handler.counters.wait(for: "sent", count: before + 10)
    }
    await handler.counters.wait(for: "flood ended")
  }

  @Test func disconnectingCancelsTheHandler() async throws {
    let handler = ProbeHandler()
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      try await withServer(handler, at: path) {
        do {
          let client = try RawClient(path)
          await client.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hang\",\"params\":{}}\n")
          await handler.counters.wait(for: "hanging")
        }
        await handler.counters.wait(for: "cancelled")
      }
    }
  }

  @Test func halfClosingStillGetsTheAnswer() async throws {
    try await withClient { client, _ in
      await client.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stream\",\"params\":{\"count\":3}}\n")
      shutdown(client.descriptor, CInt(SHUT_WR))
      for _ in 0..<3 { #expect(await client.line()?.contains("\"method\":\"event\"") == true) }
      #expect(await client.line()?.contains("\"sent\":3") == true)
      #expect(await client.line() == nil)
    }
  }

  @Test func moreRequestsThanTheLimitWaitTheirTurn() async throws {
    let handler = ProbeHandler()
    try await withClient(handler) { client, _ in
      for id in 0..<100 {
        await client.send("{\"jsonrpc\":\"2.0\",\"id\":\(id),\"method\":\"hang\",\"params\":{}}\n")
      }
      await handler.counters.wait(for: "hanging", count: ControlProtocol.maximumRequests)
      let bystander = try RawClient(client.path)
      for id in 0..<100 {
        await bystander.send("{\"jsonrpc\":\"2.0\",\"id\":\(id),\"method\":\"echo\",\"params\":{}}\n")
      }
      for _ in 0..<100 { #expect(await bystander.line() != nil) }
      #expect(handler.counters.count("hanging") == ControlProtocol.maximumRequests)
    }
    await handler.counters.wait(for: "cancelled", count: ControlProtocol.maximumRequests)
  }

  @Test func oneIdTwiceIsRefused() async throws {
    let handler = ProbeHandler()
    try await withClient(handler) { client, _ in
      await client.send("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"hang\",\"params\":{}}\n")
      await client.send("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"echo\",\"params\":{}}\n")
      #expect(await client.line()?.contains("a request with this id is under way") == true)
    }
  }

  @Test func oneClientTooManyIsToldSo() async throws {
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      try await withServer(ProbeHandler(), at: path) {
        var clients: [RawClient] = []
        for _ in 0..<ControlProtocol.maximumConnections {
          let client = try RawClient(path)
          await client.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{}}\n")
          #expect(await client.line() != nil)
          clients.append(client)
        }
        await #expect {
          try await SocketConnection(path: path).call("echo")
        } throws: { error in
          (error as? RPCError)?.controlFailure == .busy
        }
        clients.removeLast()
        // The place is free once the server has seen the departure, which its next answer to another client shows.
        await clients[0].send("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\",\"params\":{}}\n")
        #expect(await clients[0].line() != nil)
      }
    }
  }

  @Test func stoppingWithClientsAtWorkEndsThemAll() async throws {
    let handler = ProbeHandler()
    try await withTemporaryDirectory { directory in
      let path = directory + "/run/control.sock"
      let client = try await withServer(handler, at: path) {
        let client = try RawClient(path)
        await client.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hang\",\"params\":{}}\n")
        await handler.counters.wait(for: "hanging")
        return client
      }
      #expect(handler.counters.count("cancelled") == 1)
      #expect(await client.line()?.contains("the worker is stopping") == true)
      #expect(await client.line() == nil)
    }
  }
}
