import PluginProtocol
import Synchronization

/// What one process has done, for the restart policy and the idle clock.
final class Served: Sendable {
  private struct State {
    var readyAt: MonotonicInstant?
    var running = 0
    var finished = 0
    var idleSince: MonotonicInstant?
    /// Jobs that the process went away with, and those of them that are to blame for it.
    var lost: Set<JobID> = []
    var poison: Set<JobID> = []
    /// `running`, as it was when the process's end was first looked at.
    var company: Int?
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
  func end(_ id: JobID, _ verdict: JobRunner.Verdict, at now: MonotonicInstant) {
    state.withLock { state in
      state.running -= 1
      switch verdict {
      case .good: state.finished += 1
      case .gone: state.lost.insert(id)
      case .poisoned:
        state.lost.insert(id)
        state.poison.insert(id)
      case .bad, .neutral: break
      }
      if state.running == 0 { state.idleSince = now }
    }
  }
  /// How long nothing has run; nil while something does.
  func idle(now: MonotonicInstant) -> Duration? { state.withLock { $0.idleSince?.duration(to: now) } }
  func lived(now: MonotonicInstant) -> Duration { state.withLock { $0.readyAt?.duration(to: now) ?? .zero } }
  var lost: Set<JobID> { state.withLock { $0.lost } }
  var poison: Set<JobID> { state.withLock { $0.poison } }
  /// Jobs that the process had been given when this was first asked: those who leave after its end change nothing.
  var company: Int {
    state.withLock { state in
      let company = state.company ?? state.running
      state.company = company
      return company
    }
  }
  var finished: Int { state.withLock { $0.finished } }
}
