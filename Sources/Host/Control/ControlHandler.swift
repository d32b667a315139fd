import Glibc
import PluginProtocol
import Synchronization

/// Answers the requests that arrive on the control socket. One handler serves all connections at once.
package protocol ControlHandler: Sendable {
  /// Answers one request.
  ///
  /// A method that streams sends events and answers when the stream has ended. When the client disconnects, or the
  /// server stops, the task that runs this is cancelled.
  ///
  /// - Throws: `RPCError`, which reaches the client as it is; any other error reaches it as an internal error.
  func handle(_ method: String, _ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue

  /// A connection is gone, and no request of it is being handled any more. Called once for each connection.
  func ended(_ connection: ControlConnectionID) async
}

extension ControlHandler {
  /// Nothing is kept for a connection.
  package func ended(_ connection: ControlConnectionID) async {}
}

/// Names one client's connection for as long as the worker lives: what belongs to a connection goes with it.
package struct ControlConnectionID: Hashable, Sendable {
  private static let last = Atomic<UInt64>(0)
  private let number: UInt64

  /// A name that no other connection has.
  package init() { number = ControlConnectionID.last.add(1, ordering: .relaxed).newValue }
}

/// The way back to a client for what happens before the answer.
package struct ControlEvents: Sendable {
  /// The connection that the request came on.
  package let connection: ControlConnectionID
  private let deliver: @Sendable (JSONValue) async -> Void

  package init(
    connection: ControlConnectionID = ControlConnectionID(), _ deliver: @escaping @Sendable (JSONValue) async -> Void
  ) {
    self.connection = connection
    self.deliver = deliver
  }

  /// Sends one event; events of one request arrive in the order of the calls when these are made one after another.
  ///
  /// Waits while the client is slower than its events, so that nothing piles up here. Returns at once when the client
  /// is gone or the calling task is cancelled; the event is then dropped.
  package func send(_ event: JSONValue) async { await deliver(event) }
}

/// A worker as the command line sees it: behind a socket, or in the same process.
package protocol WorkerConnection: Sendable {
  /// Sends one request and waits for its answer.
  ///
  /// Cancelling the calling task withdraws the request.
  /// - Parameter onEvent: Takes the events of a streaming method, one after another, all before this returns. A slow
  ///   one slows the worker's stream. nil drops them.
  /// - Throws: `RPCError` when the worker refused, `ControlError` when it could not be asked, `CancellationError`.
  func call(
    _ method: String, _ params: JSONValue, onEvent: (@Sendable (JSONValue) async -> Void)?
  ) async throws -> JSONValue

  /// Runs `body` with a connection that lasts as long as it does: what the worker keeps for a connection, an upload for
  /// instance, is there in all its calls, which go out one after another.
  ///
  /// A call that fails otherwise than by `RPCError`, or is cancelled, ends that connection: later ones then fail.
  func session<Value: Sendable>(
    _ body: @Sendable (any WorkerConnection) async throws -> Value
  ) async throws -> Value
}

extension WorkerConnection {
  /// A connection that keeps nothing between calls is its own session.
  package func session<Value: Sendable>(
    _ body: @Sendable (any WorkerConnection) async throws -> Value
  ) async throws -> Value { try await body(self) }

  /// Sends one request that has no events of interest.
  package func call(_ method: String, _ params: JSONValue = .object([:])) async throws -> JSONValue {
    try await call(method, params, onEvent: nil)
  }
}

/// Why the control socket could not be opened or asked.
package enum ControlError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Nothing listens at that path.
  case noWorker(path: String)
  /// Another worker listens at that path, or is about to.
  case homeInUse(path: String)
  /// A Unix socket's path is limited by the system.
  case pathTooLong(path: String, limit: Int)
  /// Something stands where the socket or its directory belongs.
  case occupied(path: String, reason: String)
  /// The system refused.
  case system(doing: String, path: String, code: Int32)
  /// The worker went away before it answered.
  case disconnected(path: String)
  /// What came back is not the control protocol.
  case badAnswer(path: String, reason: String)
  /// The request does not fit on a line.
  case requestTooLarge(bytes: Int, limit: Int)

  package var description: String {
    switch self {
    case .noWorker(let path): "no worker is running at \(path); start one with `stoker run`"
    case .homeInUse(let path): "another stoker run uses this home (\(path)); stop it, or choose another with --home"
    case .pathTooLong(let path, let limit):
      "the socket path \(path) has \(path.utf8.count) bytes and the system allows \(limit); choose a shorter --home"
    case .occupied(let path, let reason): "\(path) \(reason); move it away, or choose another --home"
    case .system(let doing, let path, let code): "cannot \(doing) \(path): \(String(cString: strerror(code)))"
    case .disconnected(let path):
      "the worker at \(path) closed the connection before it answered; see its log, and `stoker status`"
    case .badAnswer(let path, let reason): "the program at \(path) does not answer like a worker: \(reason)"
    case .requestTooLarge(let bytes, let limit):
      "the request has \(bytes) bytes and \(limit) are allowed; put large content in a file"
    }
  }
}
