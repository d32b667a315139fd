import Synchronization

/// What a supervisor tells whoever decides between versions of its plugin.
package struct PluginLife: Sendable {
  /// A process is ready.
  package var becameReady: @Sendable (PluginSupervisor) -> Void = { _ in }
  /// A process did not become ready, for this reason. True when another version takes over: then `run` returns
  /// `rejected`.
  package var startFailed: @Sendable (PluginSupervisor, String) -> Bool = { _, _ in false }

  package init() {}
}

extension PluginSupervisor {
  /// How leaving went.
  package struct Drained: Sendable, Equatable {
    /// Jobs that did not end in time and went back into line.
    package var returned = 0
    /// False when processes are still there: they are being killed.
    package var isComplete = true
  }

  /// Time beyond the grace: a process that is told to go is gone by then, by force if it must.
  private static let forcedEnd: Duration = .seconds(12)

  /// Waits until the processes at places that were retired have finished their jobs and left. What still runs after
  /// `grace` is told to go: its jobs go back into line, and nobody is blamed.
  package func drain(_ places: Set<Dispatcher.Place>, grace: Duration) async -> Drained {
    let nap = Nap()
    state.withLock { $0.drains.append(nap) }
    defer { state.withLock { state in state.drains.removeAll { $0 === nap } } }
    var drained = Drained()
    if await wait(for: places, at: nap, until: ContinuousClock.now.advanced(by: grace)) { return drained }
    let engines = state.withLock { state in places.compactMap { state.engines[$0] } }
    let pids = Set(engines.compactMap(\.pid))
    drained.returned = record.snapshot.processes.values.filter { $0.pid.map(pids.contains) ?? false }
      .reduce(0) { $0 + $1.jobs.count }
    // A cancelled wait is the worker's end, which stops them itself.
    if !Task.isCancelled { for engine in engines { engine.stop(grace: plugin.manifest.timeouts.shutdown) } }
    drained.isComplete = await wait(
      for: places, at: nap, until: ContinuousClock.now.advanced(by: PluginSupervisor.forcedEnd))
    return drained
  }

  private func wait(
    for places: Set<Dispatcher.Place>, at nap: Nap, until limit: ContinuousClock.Instant
  ) async -> Bool {
    while true {
      if state.withLock({ $0.places.isDisjoint(with: places) }) { return true }
      let left = ContinuousClock.now.duration(to: limit)
      guard left > .zero, !Task.isCancelled else { return false }
      await nap.rest(left)
    }
  }

  /// A process at the place takes jobs.
  func enter(_ place: Dispatcher.Place, _ engine: EngineProcess) {
    state.withLock { $0.engines[place] = engine }
  }

  /// Nothing of the place's process is left.
  func leave(_ place: Dispatcher.Place) {
    let drains = state.withLock { state in
      state.places.remove(place)
      state.engines.removeValue(forKey: place)
      return state.drains
    }
    for drain in drains { drain.wake() }
  }
}
