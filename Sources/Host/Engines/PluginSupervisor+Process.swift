import Synchronization

extension PluginSupervisor {
  /// A process that takes jobs.
  package struct ReadyProcess: Sendable {
    package var pid: Int32?
    /// The process in the memory ledger; nil for engines that load no models.
    package var holder: MemoryLedger.HolderID?
  }

  /// Why no process came about: one sentence.
  package struct StartFailure: Error, Sendable {
    package var reason: String
  }

  /// A process of the plugin, started when there is none.
  package func process() async -> Result<ReadyProcess, StartFailure> {
    let number = state.withLock { state in
      state.nextStarter += 1
      return state.nextStarter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (answer, places): (Result<ReadyProcess, StartFailure>?, Set<Dispatcher.Place>) = state.withLock { state in
          if let ready = state.ready.min(by: { $0.key < $1.key })?.value { return (.success(ready), []) }
          if state.isRetired || state.outcome != nil || Task.isCancelled {
            return (.failure(StartFailure(reason: "plugin \(plugin.name) is out of service")), [])
          }
          state.starters[number] = continuation
          state.isWanted = true
          return (nil, state.places)
        }
        if let answer { continuation.resume(returning: answer) }
        for place in places { context.dispatcher.call(place) }
      }
    } onCancel: {
      let starter = state.withLock { $0.starters.removeValue(forKey: number) }
      starter?.resume(returning: .failure(StartFailure(reason: "nobody waits for it any more")))
    }
  }

  /// Takes up the wish for a process without a job, once.
  func takeWish() -> Bool {
    state.withLock { state in
      defer { state.isWanted = false }
      return state.isWanted
    }
  }

  func becameReady(_ slot: Int, _ process: ReadyProcess) {
    let starters = state.withLock { state in
      state.ready[slot] = process
      state.isWanted = false
      defer { state.starters = [:] }
      return Array(state.starters.values)
    }
    for starter in starters { starter.resume(returning: .success(process)) }
  }

  func failStarters(_ reason: String) {
    let starters = state.withLock { state in
      state.isWanted = false
      defer { state.starters = [:] }
      return Array(state.starters.values)
    }
    for starter in starters { starter.resume(returning: .failure(StartFailure(reason: reason))) }
  }
}
