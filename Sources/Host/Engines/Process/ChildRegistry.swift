import Glibc
import Synchronization

/// The children of this process that have an owner.
///
/// A child that is not listed is an orphan that came here because its monitor was killed, and may be removed.
enum ChildRegistry {
  private struct State {
    var owned: Set<pid_t> = []
    /// Monitors whose owner went away before they ended: they end by themselves and only need to be reaped.
    var abandoned: Set<pid_t> = []
  }

  private static let state = Mutex(State())

  static func add(_ pid: pid_t) {
    state.withLock { _ = $0.owned.insert(pid) }
  }

  /// The child was reaped by its owner: its number may be anyone's now.
  static func remove(_ pid: pid_t) {
    state.withLock { _ = $0.owned.remove(pid) }
  }

  static func abandon(_ pid: pid_t) {
    state.withLock { state in
      state.owned.remove(pid)
      state.abandoned.insert(pid)
    }
  }

  static func contains(_ pid: pid_t) -> Bool {
    state.withLock { $0.owned.contains(pid) || $0.abandoned.contains(pid) }
  }

  static func reapAbandoned() {
    for pid in state.withLock({ $0.abandoned }) where waitpid(pid, nil, WNOHANG) != 0 {
      state.withLock { _ = $0.abandoned.remove(pid) }
    }
  }
}
