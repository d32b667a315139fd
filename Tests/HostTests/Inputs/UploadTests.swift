import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

/// Answers the verbs of uploads, as the worker does.
private struct UploadHandler: ControlHandler {
  let stage: InputStage
  let counters = EventCounters()

  func handle(_ method: String, _ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    if method == "task" { return try await stage.task(of: try FieldReader(params)) }
    return try await stage.uploads.answer(method, params, connection: events.connection)
  }

  func ended(_ connection: ControlConnectionID) async {
    stage.uploads.ended(connection)
    counters.note("ended")
  }
}

@Suite(.timeLimit(.minutes(3)))
struct UploadTests {
  private func served(
    _ change: (inout InputSettings) -> Void = { _ in }, clock: any HostClock = SystemHostClock(),
    _ body: @escaping @Sendable (InputBench, SocketConnection, String, EventCounters) async throws -> Void
  ) async throws {
    try await InputBench.with(change, clock: clock) { bench in
      let handler = UploadHandler(stage: bench.stage)
      try await withTemporaryDirectory { directory in
        let path = directory + "/run/control.sock"
        try await withServer(handler, at: path) {
          try await body(bench, SocketConnection(path: path), path, handler.counters)
        }
      }
    }
  }

  @Test("a large file goes to disk as it is read: nothing piles up, and the bytes are the job's")
  func large() async throws {
    try await served { bench, connection, _, _ in
      let path = bench.folder.path + "/large"
      let made = try HelperProcess(["sh", "-c", "head -c 100000000 /dev/urandom > \"$0\"", path])
      #expect(made.wait() == 0)
      // What was read and is not on disk is in memory, here or there.
      let uploads = bench.folder.path + "/data/uploads"
      let most = Mutex<Int64>(0)
      let url = try await UploadSender.send(path: path, over: connection) { read in
        let kept = FileTree.names(in: uploads).reduce(Int64(0)) { $0 + (FileCopy.size(path: uploads + "/" + $1) ?? 0) }
        most.withLock { $0 = max($0, read - kept) }
      }
      let piled = most.withLock { $0 }
      #expect((1...2_000_000).contains(piled), "\(piled) bytes")
      #expect(url.hasPrefix("upload:") && bench.stage.uploads.count == 1)
      let id = try await bench.submit(["inputUrl": .string(url)])
      #expect(bench.stage.uploads.count == 0)
      #expect(FileTree.names(in: bench.folder.path + "/data/uploads").isEmpty)
      let compared = try HelperProcess(["cmp", path, bench.store.artifacts.inputDirectory(id) + "/inputUrl"])
      #expect(compared.wait() == 0)
      // Used once, it is gone.
      #expect(await bench.refusal(["inputUrl": .string(url)])?.message.contains("used before") == true)
    }
  }

  @Test("an upload goes with its connection, unless it was ended")
  func connections() async throws {
    try await served { bench, connection, path, counters in
      let client = try RawClient(path)
      await client.send(#"{"jsonrpc":"2.0","id":1,"method":"input/begin","params":{}}"# + "\n")
      let answer = try JSONValue(parsing: try #require(await client.line()))
      let id = try #require(answer["result"]?["upload"]?.string)
      // Another connection has no part in it.
      let params: JSONValue = ["upload": .string(id), "seq": 1, "data": "aGVsbG8="]
      await #expect(throws: RPCError.self) { try await connection.call("input/data", params) }
      #expect(await bench.refusal(["inputUrl": .string("upload:" + id)])?.controlFailure == .badInput)
      await counters.wait(for: "ended")
      #expect(bench.stage.uploads.count == 1)
      shutdown(client.descriptor, CInt(SHUT_RDWR))
      await counters.wait(for: "ended", count: 2)
      #expect(bench.stage.uploads.count == 0 && FileTree.names(in: bench.folder.path + "/data/uploads").isEmpty)
      // An ended one outlives its connection.
      _ = try await UploadSender.send(bytes: Array("hello".utf8), over: connection)
      await counters.wait(for: "ended", count: 3)
      #expect(bench.stage.uploads.count == 1)
    }
  }

  @Test("parts have an order, a size and an alphabet; a broken upload is gone")
  func parts() async throws {
    try await served({ $0.maxInputBytes = 300_000 }) { bench, connection, _, _ in
      let part = JSONValue.string(Base64.encode([UInt8](repeating: 1, count: UploadDesk.partBytes)))
      let bad: [[(Int, JSONValue)]] = [
        [(2, "aGk=")], [(1, "aGk="), (1, "aGk=")], [(1, "aGk="), (3, "aGk=")], [(1, "a")], [(1, "a b=")],
        [(1, .string(Base64.encode([UInt8](repeating: 1, count: UploadDesk.partBytes + 1))))], [(1, part), (2, part)],
      ]
      for parts in bad {
        let error = await #expect(throws: RPCError.self) {
          try await connection.session { connection in
            let id = try await connection.call("input/begin")["upload"] ?? .null
            for (seq, data) in parts {
              _ = try await connection.call("input/data", ["upload": id, "seq": JSONValue(seq), "data": data])
            }
          }
        }
        #expect(error?.controlFailure == .badInput, "\(String(describing: error))")
        #expect(bench.stage.uploads.count == 0)
      }
      // Numbers may begin at 0, and a file may be empty.
      let empty = try await UploadSender.send(bytes: [], over: connection)
      let zero = try await connection.session { connection in
        let id = try await connection.call("input/begin")["upload"] ?? .null
        _ = try await connection.call("input/data", ["upload": id, "seq": 0, "data": "aGVs"])
        _ = try await connection.call("input/data", ["upload": id, "seq": 1, "data": "bG8="])
        return try await connection.call("input/end", ["upload": id])["url"] ?? .null
      }
      let id = try await bench.submit(["aUrl": .string(empty), "bUrl": zero])
      #expect(bytes(at: bench.store.artifacts.inputDirectory(id) + "/aUrl") == [])
      #expect(bytes(at: bench.store.artifacts.inputDirectory(id) + "/bUrl") == Array("hello".utf8))
    }
  }

  @Test("uploads are bounded in number and in time, and none survives the host")
  func bounds() async throws {
    let clock = ManualHostClock()
    try await served({ $0.maxUploads = 2 }, clock: clock) { bench, connection, _, _ in
      _ = try await UploadSender.send(bytes: [1], over: connection)
      clock.advance(by: .seconds(1800))
      _ = try await UploadSender.send(bytes: [2], over: connection)
      let error = await #expect(throws: RPCError.self) { try await UploadSender.send(bytes: [3], over: connection) }
      #expect(error?.controlFailure == .busy)
      #expect(bench.stage.uploads.expire() == .seconds(1800))
      clock.advance(by: .seconds(1800))
      _ = try await UploadSender.send(bytes: [3], over: connection)
      #expect(bench.stage.uploads.count == 2)
      clock.advance(by: .seconds(3600))
      #expect(bench.stage.uploads.expire() == nil && bench.stage.uploads.count == 0)
      _ = try await UploadSender.send(bytes: [4], over: connection)
      _ = try InputStage(store: bench.store)
      #expect(FileTree.names(in: bench.folder.path + "/data/uploads").isEmpty)
    }
  }

  @Test("a task that is too large for a line comes as an upload")
  func task() async throws {
    try await served { bench, connection, _, _ in
      let task: JSONValue = ["text": .string(String(repeating: "é", count: 5_000_000))]
      let url = try await UploadSender.send(bytes: task.bytes, over: connection)
      #expect(try await connection.call("task", ["taskUpload": .string(url)]) == task)
      #expect(bench.stage.uploads.count == 0)
      let bad: [(JSONValue, String)] = [
        ("[]", "must be an object"), ("{", "no JSON"), (.string(#"{"a":1,"a":2}"#), "no JSON"),
      ]
      for (text, words) in bad {
        let id = try await UploadSender.send(bytes: Array((text.string ?? "").utf8), over: connection).dropFirst(7)
        let error = await #expect(throws: RPCError.self) {
          try await connection.call("task", ["taskUpload": .string(String(id))])
        }
        #expect(
          error?.controlFailure == .badInput && error?.message.contains(words) == true, "\(String(describing: error))")
      }
      let both = await #expect(throws: RPCError.self) {
        try await connection.call("task", ["taskUpload": "x", "task": [:]])
      }
      #expect(both?.controlFailure == .badInput)
    }
  }

  @Test("another upload of the same bytes under one key is the same request")
  func idempotency() async throws {
    try await served { bench, connection, _, _ in
      func submit(_ text: String) async throws -> SubmitResult {
        let url = try await UploadSender.send(bytes: Array(text.utf8), over: connection)
        return try await bench.stage.submit(bench.request(["inputUrl": .string(url)], key: "k"))
      }
      let first = try await submit("hello")
      #expect(try await submit("hello") == .existing(first.id))
      await #expect(throws: RPCError.self) { try await submit("other") }
      #expect(bench.jobDirectories == [first.id.description])
    }
  }

  @Test("the same session in the worker's own process")
  func inProcess() async throws {
    try await InputBench.with { bench in
      let handler = UploadHandler(stage: bench.stage)
      let connection = InProcessConnection(handler)
      let url = try await UploadSender.send(bytes: Array("hello".utf8), over: connection)
      let id = try await bench.submit(["inputUrl": .string(url)])
      #expect(bytes(at: bench.store.artifacts.inputDirectory(id) + "/inputUrl") == Array("hello".utf8))
      _ = try await connection.session { try await $0.call("input/begin") }
      #expect(bench.stage.uploads.count == 0)
    }
  }
}
