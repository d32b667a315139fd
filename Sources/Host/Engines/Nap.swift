import Synchronization

/// A rest that can be cut short: by `wake`, by the end of its time, or by cancellation.
///
/// One task rests at a time. A wake that comes while nobody rests cuts the next rest short, so that none is lost.
package final class Nap: Sendable {
  private struct State {
    var isWoken = false
    var sleeper: CheckedContinuation<Void, Never>?
  }
  private let state = Mutex(State())

  package init() {}

  /// Rests for `time`, or until woken when it is nil.
  package func rest(_ time: Duration?) async {
    await withTaskGroup(of: Void.self) { group in
      if let time { group.addTask { try? await Task.sleep(for: time) } }
      group.addTask { await self.untilWoken() }
      await group.next()
      group.cancelAll()
    }
  }

  /// Ends the rest.
  package func wake() {
    let sleeper: CheckedContinuation<Void, Never>? = state.withLock { state in
      if state.sleeper == nil { state.isWoken = true }
      return state.sleeper.take()
    }
    sleeper?.resume()
  }

  private func untilWoken() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustRest: Bool = state.withLock { state in
          if state.isWoken || Task.isCancelled {
            state.isWoken = false
            return false
          }
          state.sleeper = continuation
          return true
        }
        if !mustRest { continuation.resume() }
      }
    } onCancel: {
      let sleeper: CheckedContinuation<Void, Never>? = state.withLock { $0.sleeper.take() }
      sleeper?.resume()
    }
  }
}
