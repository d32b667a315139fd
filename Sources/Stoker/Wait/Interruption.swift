import Dispatch
import Glibc

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

/// SIGINT and SIGTERM as a stream, instead of the end of the process.
///
/// While it is watched, both are ignored by the process itself; programs it starts must reset them.
struct SignalWatch: ~Copyable {
  /// What ends a wait from outside.
  enum Event: Sendable {
    case signal(CInt)
    /// The output cannot be written any more.
    case outputFailed(CLIError)
  }

  let events: AsyncStream<Event>
  private let feed: AsyncStream<Event>.Continuation
  private let sources: [any DispatchSourceSignal]
  private static let signals = [SIGINT, SIGTERM]

  init() {
    let (events, feed) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(16))
    (self.events, self.feed) = (events, feed)
    sources = SignalWatch.signals.map { number in
      _ = Glibc.signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: DispatchQueue(label: "stoker.signals"))
      source.setEventHandler { feed.yield(.signal(number)) }
      source.resume()
      return source
    }
  }

  deinit {
    for source in sources { source.cancel() }
    feed.finish()
    for number in SignalWatch.signals { _ = Glibc.signal(number, SIG_DFL) }
  }

  /// Reports that printing failed.
  var reportOutputFailure: @Sendable (any Error) -> Void {
    { [feed] error in feed.yield(.outputFailed(CLIError(error))) }
  }
}

/// Runs something that Ctrl-C ends: the body is cancelled, and the program leaves with 130.
func endedByInterrupt<Value: Sendable>(
  _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  let watch = SignalWatch()
  let events = watch.events
  return try await withThrowingTaskGroup(of: Value?.self) { group in
    group.addTask { try await body() }
    group.addTask {
      for await _ in events { throw CLIError.interrupted }
      return nil
    }
    defer { group.cancelAll() }
    while let value = try await group.next() {
      if let value { return value }
    }
    throw CLIError.interrupted
  }
}
