import PluginProtocol
import Synchronization

/// What one process has done, for the restart policy and the idle clock.
final class Served: Sendable {
  private struct State {
    var readyAt: MonotonicInstant?
    var running = 0
    var finished = 0
    var idleSince: MonotonicInstant?
  }
  private let state = Mutex(State())

  var wasReady: Bool { state.withLock { $0.readyAt != nil } }

  func ready(at now: MonotonicInstant) {
    state.withLock { state in
      state.readyAt = now
      state.idleSince = now
    }
  }
  func begin() {
    state.withLock { state in
      state.running += 1
      state.idleSince = nil
    }
  }
  func end(good: Bool, at now: MonotonicInstant) {
    state.withLock { state in
      state.running -= 1
      if good { state.finished += 1 }
      if state.running == 0 { state.idleSince = now }
    }
  }
  /// How long nothing has run; nil while something does.
  func idle(now: MonotonicInstant) -> Duration? { state.withLock { $0.idleSince?.duration(to: now) } }
  func lived(now: MonotonicInstant) -> Duration { state.withLock { $0.readyAt?.duration(to: now) ?? .zero } }
  var finished: Int { state.withLock { $0.finished } }
}
