import PluginProtocol
import Synchronization

/// Which models one engine process holds, and who uses them: loads on demand, makes room by unloading idle ones.
///
/// One change at a time; those who need another one wait in line.
final class EngineModels: Sendable {
  struct Loaded: Sendable {
    var users = 0
    var since: Int64
    /// Keeps the files where they are until the model is unloaded.
    var claim: ModelUse?
  }

  private struct State {
    var loaded: [String: Loaded] = [:]
    var isChanging = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let engine: EngineProcess
  private let capacity: Int
  private let claim: @Sendable (String) -> ModelUse?
  private let state = Mutex(State())

  /// - Parameter capacity: models kept at a time, 1 or more.
  init(_ engine: EngineProcess, capacity: Int = 1, claim: @escaping @Sendable (String) -> ModelUse?) {
    self.engine = engine
    self.claim = claim
    self.capacity = capacity
  }

  /// Ids of the models that are loaded now.
  var ids: [String] { state.withLock { $0.loaded.keys.sorted() } }

  /// Makes sure that a model is loaded and keeps it so until `release`. Returns why it cannot be.
  func acquire(
    _ model: ModelReference, progress: @escaping @Sendable (PluginProtocol.ModelProgress) -> Void
  ) async -> RPCError? {
    while true {
      enum Step { case ready, load, unload(String), wait }
      let step: Step = state.withLock { state in
        if state.loaded[model.id] != nil {
          state.loaded[model.id]?.users += 1
          return .ready
        }
        if state.isChanging { return .wait }
        if state.loaded.count < capacity {
          state.isChanging = true
          return .load
        }
        guard let idle = state.loaded.filter({ $0.value.users == 0 }).min(by: { $0.value.since < $1.value.since })
        else { return .wait }
        state.isChanging = true
        return .unload(idle.key)
      }
      switch step {
      case .ready: return nil
      case .wait: await wait()
      case .load:
        let claim = claim(model.id)
        let result = await engine.load(model, progress: progress)
        changed { state in
          // In use from the first moment, or another who waits would unload it again at once.
          if case .success = result { state.loaded[model.id] = Loaded(users: 1, since: Timestamp.now(), claim: claim) }
        }
        switch result {
        case .success: return nil
        case .failure(let error): return error
        }
      case .unload(let victim):
        let error = await engine.unload(model: victim)
        changed { $0.loaded[victim] = nil }
        if let error { return error }
      }
    }
  }

  /// The model may be unloaded again, as far as this user is concerned.
  func release(_ id: String) {
    let waiters = state.withLock { state in
      state.loaded[id]?.users -= 1
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  private func changed(_ body: (inout State) -> Void) {
    let waiters = state.withLock { state in
      body(&state)
      state.isChanging = false
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  private func wait() async {
    await withCheckedContinuation { continuation in
      let mustWait: Bool = state.withLock { state in
        // Looked at again by the caller: only a change that is under way, or a user, is worth waiting for.
        guard state.isChanging || state.loaded.values.contains(where: { $0.users > 0 }) else { return false }
        state.waiters.append(continuation)
        return true
      }
      if !mustWait { continuation.resume() }
    }
  }
}
