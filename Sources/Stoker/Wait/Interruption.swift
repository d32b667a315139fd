import Dispatch
import Glibc
import Synchronization

/// What Ctrl-C and SIGTERM mean to somebody who waits for a job: first the job is cancelled, then patience is asked for,
/// then the wait is left.
struct InterruptPolicy: Equatable, Sendable {
  enum Action: Equatable, Sendable {
    /// Ask the worker to cancel the job, and go on waiting for its end.
    case requestCancel
    /// Say that it is still being cancelled, and how to look at it.
    case remind
    /// Stop waiting; the program ends with 130.
    case leave
  }

  private(set) var interrupts = 0

  /// True once the job's end is due to the user's wish.
  var isCancelling: Bool { interrupts > 0 }

  /// The answer to a signal.
  mutating func take(_ signal: CInt) -> Action {
    guard signal == SIGINT else { return .leave }
    interrupts += 1
    switch interrupts {
    case 1: return .requestCancel
    case 2: return .remind
    default: return .leave
    }
  }
}

/// What ends a wait from outside, as a stream.
struct SignalWatch: Sendable {
  enum Event: Sendable {
    case signal(CInt)
    /// The output cannot be written any more.
    case outputFailed(CLIError)
  }

  let events: AsyncStream<Event>
  fileprivate let feed: AsyncStream<Event>.Continuation
  private let detour = Detour()

  /// Where signals go instead of the events, for a while.
  private final class Detour: Sendable {
    let target = Mutex<AsyncStream<Void>.Continuation?>(nil)
  }

  fileprivate init() {
    (events, feed) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(16))
  }

  fileprivate func take(_ signal: CInt) {
    if let target = detour.target.withLock({ $0 }) { target.yield() } else { feed.yield(.signal(signal)) }
  }

  /// Runs something that the next signal ends: the body is cancelled, and `CLIError.interrupted` thrown. The events do not
  /// have that signal then.
  func endedBySignal<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let (signals, target) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    detour.target.withLock { $0 = target }
    defer { detour.target.withLock { $0 = nil } }
    return try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        for await _ in signals { throw CLIError.interrupted }
        return nil
      }
      defer { group.cancelAll() }
      while let value = try await group.next() {
        if let value { return value }
      }
      throw CLIError.interrupted
    }
  }

  /// Reports that printing failed.
  func outputFailed(_ error: any Error) { feed.yield(.outputFailed(CLIError(error))) }
}

/// Turns SIGINT and SIGTERM into events, instead of the end of the process, for as long as the body runs.
///
/// Meanwhile the process itself ignores both; programs that it starts must reset them.
func withSignalWatch<Value>(_ body: (SignalWatch) async throws -> Value) async throws -> Value {
  let watch = SignalWatch()
  let signals = [SIGINT, SIGTERM]
  let queue = DispatchQueue(label: "stoker.signals")
  let sources = signals.map { number in
    _ = signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
    source.setEventHandler { watch.take(number) }
    source.resume()
    return source
  }
  defer {
    for source in sources { source.cancel() }
    for number in signals { _ = signal(number, SIG_DFL) }
    watch.feed.finish()
  }
  return try await body(watch)
}

/// Runs something that Ctrl-C ends: the body is cancelled, and the program leaves with 130.
func endedByInterrupt<Value: Sendable>(
  _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withSignalWatch { watch in try await watch.endedBySignal(body) }
}
