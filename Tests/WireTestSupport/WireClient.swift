import Dispatch
import Foundation
import Glibc
import PluginProtocol
import Synchronization

/// The host's end of a wire, for tests: sends what it is told to, and hands out what comes, in order.
///
/// Waiting has no clock of its own: give the suite a time limit, whose cancellation ends the wait.
public final class WireClient: Sendable {
  /// What a wait ends with when nothing more will come.
  public struct Ended: Error, CustomStringConvertible {
    public let description: String
    public init(description: String) { self.description = description }
  }

  private struct State {
    var inbox: [Envelope] = []
    var noise: [[UInt8]] = []
    var ended = false
    /// Rises with every read, so that a wait cannot miss one.
    var reads = 0
    var waiter: CheckedContinuation<Void, Never>?
    var nextID: Int64 = 1
  }

  private let state = Mutex(State())
  private let input: CInt
  private let output: Mutex<CInt>
  private let writer = DispatchQueue(label: "wire client")

  /// Takes both descriptors over: `input` is read to its end by a thread, `output` is closed by `closeOutput`.
  public init(input: CInt, output: CInt) {
    self.input = input
    self.output = Mutex(output)
    // An engine that has gone away is a failed write here, as it is in the host.
    signal(SIGPIPE, SIG_IGN)
    Thread.detachNewThread { [self] in read() }
  }

  deinit {
    output.withLock { if $0 >= 0 { close($0) } }
  }

  private func read() {
    var framer = LineFramer(limit: LineFramer.maximumLineBytes)
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(input, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
        if count > 0 {
          for event in framer.feed(Array(buffer[..<count])) {
            guard case .line(let line) = event else { continue }
            if let message = (try? JSONValue(parsing: line)).flatMap({ try? Envelope($0) }) {
              state.inbox.append(message)
            } else {
              state.noise.append(line)
            }
          }
        } else {
          state.ended = true
        }
        state.reads += 1
        return state.waiter.take()
      }
      waiter?.resume()
      guard count > 0 else { break }
    }
    close(input)
  }

  // MARK: Sending

  /// Writes bytes as they are, in the order of the calls. Returns at once: a write that waits for the engine must not
  /// hold a thread that the engine may need to start.
  public func send(bytes: [UInt8]) {
    writer.async { [self] in
      output.withLock { descriptor in
        var offset = 0
        while offset < bytes.count {
          let count = bytes.withUnsafeBytes {
            write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
          }
          guard count > 0 || errno == EINTR else { return }
          offset += max(0, count)
        }
      }
    }
  }

  /// Writes a line.
  public func send(line: String) { send(bytes: Array(line.utf8) + [0x0A]) }

  /// Sends a notification.
  public func notify(_ method: String, _ params: JSONValue) {
    send(bytes: Envelope.notification(method: method, params: params).frame)
  }

  /// Sends a request and returns its id.
  @discardableResult
  public func request(_ method: String, _ params: JSONValue = [:]) -> RequestID {
    let id = RequestID.number(
      state.withLock { state in
        defer { state.nextID += 1 }
        return state.nextID
      })
    send(bytes: Envelope.request(id: id, method: method, params: params).frame)
    return id
  }

  /// Closes the engine's input, after all that was sent.
  public func closeOutput() {
    writer.async { [self] in
      output.withLock { descriptor in
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
      }
    }
  }

  // MARK: Receiving

  /// Lines that were no messages.
  public var noise: [[UInt8]] { state.withLock { $0.noise } }
  /// Messages that have come and were not taken.
  public var pending: [Envelope] { state.withLock { $0.inbox } }

  /// Waits for the first message, in the order of the wire, that `match` accepts, and takes it out. Those before it stay.
  public func first<T>(_ what: String, _ match: (Envelope) -> T?) async throws -> T {
    while true {
      let (found, reads, over): (T?, Int, Bool) = state.withLock { state in
        for (index, message) in state.inbox.enumerated() {
          if let found = match(message) {
            state.inbox.remove(at: index)
            return (found, 0, false)
          }
        }
        return (nil, state.reads, state.ended)
      }
      if let found { return found }
      guard !over, !Task.isCancelled else { throw Ended(description: "no \(what) came; pending: \(pending)") }
      await arrival(after: reads)
    }
  }

  /// The next message, whatever it is.
  public func next() async throws -> Envelope { try await first("message") { $0 } }

  /// Waits for the answer to a request; throws the `RPCError` when it is one.
  public func answer(to id: RequestID) async throws -> JSONValue {
    try await first("answer to \(id)") { message -> Result<JSONValue, RPCError>? in
      switch message {
      case .response(id, let result): .success(result)
      case .failure(.some(id), let error): .failure(error)
      default: nil
      }
    }.get()
  }

  /// Waits for a request's error; throws when it is answered with a result.
  public func failure(of id: RequestID) async throws -> RPCError {
    do {
      let result = try await answer(to: id)
      throw Ended(description: "a result in place of an error: \(result.text.prefix(200))")
    } catch let error as RPCError { return error }
  }

  /// Sends a request and waits for its result.
  public func call(_ method: String, _ params: JSONValue = [:]) async throws -> JSONValue {
    try await answer(to: request(method, params))
  }

  /// Waits for the next notification of that method.
  public func notification(_ method: String) async throws -> JSONValue {
    try await first(method) { if case .notification(method, let params) = $0 { params } else { nil } }
  }

  /// Waits until the engine has closed its output.
  public func end() async throws {
    while case (let reads, let ended) = state.withLock({ ($0.reads, $0.ended) }), !ended {
      guard !Task.isCancelled else { throw Ended(description: "the wire was not closed; pending: \(pending)") }
      await arrival(after: reads)
    }
  }

  /// Waits for one more read than `reads`; one waiter at a time.
  private func arrival(after reads: Int) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state in
          if state.reads != reads || Task.isCancelled { return true }
          state.waiter = continuation
          return false
        }
        if now { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiter.take() }?.resume()
    }
  }
}

extension WireClient {
  /// Params of `initialize` as a host sends them.
  public static func hello(versions: [Int] = Method.protocolVersions) -> JSONValue {
    InitializeParameters(
      protocolVersions: versions, host: PeerVersion(name: "test", version: "1"),
      features: Feature.allCases.map(\.rawValue),
      directories: EngineDirectories(models: "/nowhere/models", cache: "/nowhere/cache", work: "/nowhere/work"),
      resources: EngineResources(cpuThreads: 1)
    ).json
  }

  /// Shakes hands.
  public func greet() async throws -> InitializeResult {
    try InitializeResult(try await call(Method.initialize, WireClient.hello()))
  }

  /// Sends a job and returns the request's id.
  public func run(
    _ kind: String, _ task: JSONValue, model: String? = nil, id: String, directory: String = "/nowhere",
    credit: Int = defaultChunkCredit
  ) -> RequestID {
    request(
      Method.jobRun,
      JobRunParameters(
        jobID: id, kind: kind, model: model.map { ModelReference(id: $0) }, task: task, workDirectory: directory,
        credit: credit
      ).json)
  }
}
