import Glibc
import PluginProtocol
import Synchronization
import Testing

@testable import Host

/// A handler with one method a behaviour.
final class ProbeHandler: ControlHandler {
  /// Counts what happened, and lets a test wait for it.
  let counters = EventCounters()

  func handle(_ method: String, _ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    switch method {
    case "echo": return params
    case "refuse": throw RPCError(control: .notFound, "there is no such thing")
    case "break": throw ControlError.disconnected(path: "elsewhere")
    case "stream":
      for index in 0..<(params["count"]?.int ?? 0) { await events.send(["index": .int(index)]) }
      return ["sent": params["count"] ?? 0]
    case "flood":
      let payload = String(repeating: "x", count: 64 << 10)
      while !Task.isCancelled {
        await events.send(.string(payload))
        counters.note("sent")
      }
      counters.note("flood ended")
      throw CancellationError()
    case "hang":
      counters.note("hanging")
      await untilCancelled()
      counters.note("cancelled")
      throw CancellationError()
    default: throw RPCError(code: RPCError.methodNotFoundCode, message: "no method \(method)")
    }
  }

  private func untilCancelled() async {
    let (stream, _) = AsyncStream.makeStream(of: Never.self)
    for await _ in stream {}
  }
}

/// Named counters that can be awaited.
final class EventCounters: Sendable {
  private struct State {
    var counts: [String: Int] = [:]
    var waiters: [(name: String, count: Int, continuation: CheckedContinuation<Void, Never>)] = []
  }
  private let state = Mutex(State())

  func note(_ name: String) {
    let due = state.withLock { state in
      state.counts[name, default: 0] += 1
      let reached = state.counts
      let due = state.waiters.filter { reached[$0.name, default: 0] >= $0.count }
      state.waiters.removeAll { reached[$0.name, default: 0] >= $0.count }
      return due
    }
    for waiter in due { waiter.continuation.resume() }
  }

  func count(_ name: String) -> Int { state.withLock { $0.counts[name, default: 0] } }

  /// Waits for an event; the test's time limit bounds it.
  func wait(for name: String, count: Int = 1) async {
    await withCheckedContinuation { continuation in
      let now = state.withLock { state in
        if state.counts[name, default: 0] >= count { return true }
        state.waiters.append((name, count, continuation))
        return false
      }
      if now { continuation.resume() }
    }
  }
}

/// A directory that goes away with the test.
func withTemporaryDirectory<T>(_ body: (String) async throws -> T) async throws -> T {
  var template = Array("/tmp/stoker-control-XXXXXX".utf8CString)
  let path = try #require(mkdtemp(&template).map { String(cString: $0) })
  defer {
    for name in ["run/control.sock", "run/control.sock.lock", "run", ""] {
      let item = path + "/" + name
      if unlink(item) != 0 { rmdir(item) }
    }
  }
  return try await body(path)
}

/// Runs a server for as long as the body runs, and cancels it then.
func withServer<T: Sendable>(
  _ handler: any ControlHandler, at path: String, _ body: @Sendable () async throws -> T
) async throws -> T {
  let counters = EventCounters()
  return try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask {
      do {
        try await ControlServer(path: path, handler: handler).run { counters.note("ready") }
      } catch {
        counters.note("ready")
        throw error
      }
    }
    await counters.wait(for: "ready")
    let value: T
    do {
      value = try await body()
    } catch {
      group.cancelAll()
      try? await group.waitForAll()
      throw error
    }
    group.cancelAll()
    try await group.waitForAll()
    return value
  }
}

/// Where a transport test's worker is.
enum Transport: String, CaseIterable, Sendable {
  case socket
  case inProcess

  /// Runs one test body over this transport.
  func with(_ handler: ProbeHandler, _ body: @escaping @Sendable (any WorkerConnection) async throws -> Void)
    async throws
  {
    switch self {
    case .inProcess: try await body(InProcessConnection(handler))
    case .socket:
      try await withTemporaryDirectory { directory in
        let path = directory + "/run/control.sock"
        try await withServer(handler, at: path) { try await body(SocketConnection(path: path)) }
      }
    }
  }
}

/// A client that writes what it likes. Its waiting is done on a thread of its own: the concurrency pool has none to spare.
final class RawClient: Sendable {
  private struct Input {
    var framer = LineFramer(limit: ControlProtocol.maximumLineBytes)
    var lines: [[UInt8]] = []
  }
  let descriptor: CInt
  let path: String
  private let input = Mutex(Input())

  init(_ path: String) throws {
    self.path = path
    descriptor = try ControlSocketPath.connect(path)
  }
  deinit { close(descriptor) }

  func send(_ text: String) async { await send(Array(text.utf8)) }
  func send(_ bytes: [UInt8]) async {
    await blocking {
      var offset = 0
      while offset < bytes.count {
        let sent = bytes.withUnsafeBytes {
          Glibc.send(self.descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset, CInt(MSG_NOSIGNAL))
        }
        guard sent > 0 else { return }
        offset += sent
      }
    }
  }

  /// The next line, or nil when the server has hung up or thirty seconds have passed.
  func line() async -> String? {
    while input.withLock(\.lines.isEmpty) {
      let bytes: [UInt8] = await blocking {
        var wanted = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&wanted, 1, 30_000) > 0 else { return [] }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(self.descriptor, &buffer, buffer.count, 0)
        return Array(buffer.prefix(max(0, count)))
      }
      guard !bytes.isEmpty else { return nil }
      input.withLock { input in
        for case .line(let line) in input.framer.feed(bytes) { input.lines.append(line) }
      }
    }
    return String(decoding: input.withLock { $0.lines.removeFirst() }, as: UTF8.self)
  }
}

/// Runs something that may block.
func blocking<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
  await withCheckedContinuation { continuation in
    #expect(DetachedThread.start(named: "blocking") { continuation.resume(returning: body()) } == 0)
  }
}
