import Glibc
import PluginProtocol
import Synchronization

/// A running worker, reached through its control socket. Each call has a connection of its own, so that leaving the call
/// withdraws the request and a slow call delays no other.
package struct SocketConnection: WorkerConnection {
  private let path: String

  /// - Parameter path: The worker's socket. Nothing is opened before the first call.
  package init(path: String) { self.path = path }

  package func call(
    _ method: String, _ params: JSONValue, onEvent: (@Sendable (JSONValue) async -> Void)?
  ) async throws -> JSONValue {
    let frame = try SocketSession.frame(1, method, params)
    try Task.checkCancellation()
    let session = SocketSession(CallSocket(try ControlSocketPath.connect(path), path: path), path: path)
    defer { session.close() }
    return try await session.exchange(frame, onEvent: onEvent)
  }

  package func session<Value: Sendable>(
    _ body: @Sendable (any WorkerConnection) async throws -> Value
  ) async throws -> Value {
    try Task.checkCancellation()
    let session = SocketSession(CallSocket(try ControlSocketPath.connect(path), path: path), path: path)
    defer { session.close() }
    return try await body(session)
  }
}

/// One connection to a worker and the calls on it, one after another.
private final class SocketSession: WorkerConnection {
  private let socket: CallSocket
  private let path: String
  private let lastID = Atomic<Int>(0)
  /// Between calls no line is begun: the worker speaks only when asked.
  private let framer = Mutex(LineFramer(limit: ControlProtocol.maximumLineBytes))

  init(_ socket: CallSocket, path: String) {
    self.socket = socket
    self.path = path
  }

  func close() { socket.close() }

  static func frame(_ id: Int, _ method: String, _ params: JSONValue) throws(ControlError) -> [UInt8] {
    let frame = Envelope.request(id: .number(Int64(id)), method: method, params: params).frame
    guard frame.count - 1 <= ControlProtocol.maximumLineBytes else {
      throw .requestTooLarge(bytes: frame.count, limit: ControlProtocol.maximumLineBytes)
    }
    return frame
  }

  func call(
    _ method: String, _ params: JSONValue, onEvent: (@Sendable (JSONValue) async -> Void)?
  ) async throws -> JSONValue {
    let id = lastID.add(1, ordering: .relaxed).newValue
    return try await exchange(try Self.frame(id, method, params), onEvent: onEvent)
  }

  func session<Value: Sendable>(
    _ body: @Sendable (any WorkerConnection) async throws -> Value
  ) async throws -> Value { try await body(self) }

  func exchange(_ frame: [UInt8], onEvent: (@Sendable (JSONValue) async -> Void)?) async throws -> JSONValue {
    try await withTaskCancellationHandler {
      do {
        try await socket.send(frame)
      } catch let unsent {
        try Task.checkCancellation()
        // The worker may have said why before it hung up.
        do {
          return try await answer(onEvent: nil)
        } catch let refusal as RPCError {
          throw refusal
        } catch {
          throw unsent
        }
      }
      return try await answer(onEvent: onEvent)
    } onCancel: {
      socket.hangUp()
    }
  }

  private func answer(onEvent: (@Sendable (JSONValue) async -> Void)?) async throws -> JSONValue {
    while true {
      let bytes = try await socket.receive()
      try Task.checkCancellation()
      guard !bytes.isEmpty else { throw ControlError.disconnected(path: path) }
      for event in framer.withLock({ $0.feed(bytes) }) {
        guard case .line(let line) = event else {
          throw ControlError.badAnswer(
            path: path, reason: "a line is longer than \(ControlProtocol.maximumLineBytes) bytes")
        }
        switch try parse(line) {
        case .response(_, let result): return result
        case .failure(_, let error): throw error
        case .notification(ControlProtocol.eventMethod, let params): await onEvent?(params["event"] ?? .null)
        case .notification, .request: break
        }
        try Task.checkCancellation()
      }
    }
  }

  private func parse(_ line: [UInt8]) throws -> Envelope {
    do {
      return try Envelope(try JSONValue(parsing: line, limits: JSONLimits(depth: 64, values: 2_000_000)))
    } catch {
      throw ControlError.badAnswer(path: path, reason: "\(error)")
    }
  }
}

/// The descriptor of one call.
///
/// What has to wait does so on a thread of its own. Dispatch's threads would not do: they are few, and Swift's
/// concurrency pool is made of the same ones.
private final class CallSocket: Sendable {
  private let descriptor: Mutex<CInt?>
  private let path: String

  init(_ descriptor: CInt, path: String) {
    self.descriptor = Mutex(descriptor)
    self.path = path
  }

  /// Makes reads and writes under way return; may be called at any moment.
  func hangUp() { descriptor.withLock { if let open = $0 { _ = shutdown(open, CInt(SHUT_RDWR)) } } }

  /// Call it only when no read or write is under way.
  func close() {
    descriptor.withLock { descriptor in
      if let open = descriptor { _ = Glibc.close(open) }
      descriptor = nil
    }
  }

  func send(_ bytes: [UInt8]) async throws {
    let offset = try CallSocket.send(try open(), bytes[...], flags: CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT), path)
    guard offset < bytes.count else { return }
    try await waiting { descriptor, path in
      _ = try CallSocket.send(descriptor, bytes[offset...], flags: CInt(MSG_NOSIGNAL), path)
    }
  }

  /// The next bytes; none at the end of the stream.
  func receive() async throws -> [UInt8] {
    if let bytes = try CallSocket.receive(try open(), flags: CInt(MSG_DONTWAIT), path) { return bytes }
    return try await waiting { descriptor, path in
      while true {
        if let bytes = try CallSocket.receive(descriptor, flags: 0, path) { return bytes }
      }
    }
  }

  private func open() throws -> CInt {
    guard let descriptor = descriptor.withLock({ $0 }) else { throw ControlError.disconnected(path: path) }
    return descriptor
  }

  /// How many bytes were taken: all, unless it would have had to wait.
  private static func send(_ descriptor: CInt, _ bytes: ArraySlice<UInt8>, flags: CInt, _ path: String) throws -> Int {
    var rest = bytes
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, flags) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        break
      } else if errno != EINTR {
        throw ControlError.disconnected(path: path)
      }
    }
    return rest.startIndex
  }

  /// nil when it would have had to wait.
  private static func receive(_ descriptor: CInt, flags: CInt, _ path: String) throws -> [UInt8]? {
    while true {
      var failure: CInt = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
        let received = recv(descriptor, buffer.baseAddress, buffer.count, flags)
        failure = received < 0 ? errno : 0
        count = max(received, 0)
      }
      switch failure {
      case 0: return bytes
      case EAGAIN: return nil
      case EINTR: continue
      default: throw ControlError.disconnected(path: path)
      }
    }
  }

  private func waiting<T: Sendable>(_ body: @escaping @Sendable (CInt, String) throws -> T) async throws -> T {
    let descriptor = try open()
    let path = path
    return try await withCheckedThrowingContinuation { continuation in
      let started =
        DetachedThread.start(named: "control") { continuation.resume(with: Result { try body(descriptor, path) }) } == 0
      if !started {
        continuation.resume(throwing: ControlError.system(doing: "start a thread for", path: path, code: EAGAIN))
      }
    }
  }
}
