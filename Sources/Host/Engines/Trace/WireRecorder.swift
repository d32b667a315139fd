import CLinux
import Glibc
import PluginProtocol
import Synchronization

/// Carries what passes on a wire to a thread of its own, which may take its time: writes a file, or prints.
///
/// Bounded: what the thread does not keep up with is dropped, and counted.
package final class WireRecorder: WireObserver {
  /// An event and when it happened, since the recorder was made.
  package struct Record: Sendable {
    package var at: Duration
    package var event: WireEvent
    /// Events that were dropped right before this one.
    package var dropped: Int
  }

  /// Bytes that wait for the thread, about.
  static let pendingBytes = 8 << 20

  private struct State {
    var pending: [Record] = []
    var bytes = 0
    var dropped = 0
    /// Nothing is taken any more.
    var isClosed = false
    var isThreadGone = false
    var done: [@Sendable () -> Void] = []
  }

  private let state = Mutex(State())
  private let wake: Int32
  private let start: MonotonicInstant

  /// - Parameters:
  ///   - clock: whose instants `observe` is given.
  ///   - take: called on the recorder's thread for each record, and with nil at the end; false when it wants no more.
  package init?(clock: any HostClock, take: @escaping @Sendable (Record?) -> Bool) {
    wake = linux_eventfd(0)
    start = clock.now()
    guard wake >= 0 else { return nil }
    let status = DetachedThread.start(named: "wire") { [self] in run(take) }
    if status != 0 {
      close(wake)
      return nil
    }
  }

  package func observe(_ event: WireEvent, at instant: MonotonicInstant) {
    state.withLock { state in
      guard !state.isClosed else { return }
      guard state.bytes < WireRecorder.pendingBytes else {
        state.dropped += 1
        return
      }
      state.pending.append(Record(at: start.duration(to: instant), event: event, dropped: state.dropped))
      state.dropped = 0
      state.bytes += event.size
      // Under the lock, as in `end`: the thread closes the descriptor under it.
      if state.pending.count == 1 { _ = linux_eventfd_signal(wake) }
    }
  }

  package func end(_ done: @escaping @Sendable () -> Void) {
    let isGone: Bool = state.withLock { state in
      state.isClosed = true
      if !state.isThreadGone {
        state.done.append(done)
        // Under the lock: the thread closes the descriptor after it has taken it once more.
        _ = linux_eventfd_signal(wake)
      }
      return state.isThreadGone
    }
    if isGone { done() }
  }

  private func run(_ take: (Record?) -> Bool) {
    var wantsMore = true
    while true {
      _ = linux_eventfd_wait(wake)
      let (records, isClosed) = state.withLock { state in
        defer {
          state.pending = []
          state.bytes = 0
        }
        return (state.pending, state.isClosed)
      }
      for record in records where wantsMore { wantsMore = take(record) }
      if !wantsMore { state.withLock { $0.isClosed = true } }
      guard isClosed else { continue }
      if wantsMore { _ = take(nil) }
      let done = state.withLock { state in
        state.isThreadGone = true
        close(wake)
        return state.done
      }
      for call in done { call() }
      return
    }
  }
}

extension WireEvent {
  /// Bytes that it takes in memory, about.
  fileprivate var size: Int {
    switch self {
    case .toEngine(let bytes), .fromEngine(let bytes): bytes.count + 64
    case .overlong(_, let prefix): prefix.count + 64
    case .stderr(let line): line.utf8.count + 64
    case .process(_, let text): text.utf8.count + 64
    }
  }
}
