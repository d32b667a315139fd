/// Decides what is done next to end an engine. Pure: it is told what happened and what time it is.
///
/// ```
/// var machine = TeardownMachine(Teardown.graceful(grace: .seconds(5)), at: clock.now())
/// loop: switch machine.next(at: clock.now()) {
///   case .perform(let action): carry it out
///   case .wait(let until): wait for an event, at most until then; tell the machine with `observe(_:)`
///   case .finished(let outcome): nothing more to do
/// }
/// ```
package struct TeardownMachine: Sendable {
  /// What the host has seen.
  package enum Observation: Sendable, Equatable {
    /// The engine's own process has ended: a record said so.
    case engineEnded
    /// stdout and stderr have both ended, or will not be read any more.
    case drained
    /// The monitor's last record, with the number of descendants that it could not remove.
    case swept(left: Int)
    /// `reapMonitor()` returned an end. Read the status pipe first: the monitor's records come before its death.
    case monitorEnded
    /// `OrphanReaper.sweep(within:)` returned.
    case orphansReaped(left: Int)
  }

  package enum Outcome: Sendable, Equatable {
    /// Nothing that the engine ever started exists any more.
    case clean
    /// Something cannot be killed, usually because it hangs in a device driver. Its slot must not be used again.
    case lost
  }

  package enum Decision: Sendable, Equatable {
    /// Do this now, then ask again.
    case perform(TeardownAction)
    /// Nothing to do until something is observed or this instant comes.
    case wait(until: MonotonicInstant)
    case finished(Outcome)
  }

  private var steps: ArraySlice<TeardownStep>
  /// When the effect of the last performed step is no longer awaited.
  private var deadline: MonotonicInstant
  private var performed: TeardownAction?

  private var engineEnded = false
  private var drained = false
  private var sweptClean = false
  private var monitorEnded = false
  private var orphans: Int?

  package init(_ steps: [TeardownStep], at now: MonotonicInstant) {
    self.steps = steps[...]
    deadline = now
  }

  package mutating func observe(_ observation: Observation) {
    switch observation {
    case .engineEnded: engineEnded = true
    case .drained: drained = true
    case .swept(let left): sweptClean = left == 0
    case .monitorEnded:
      monitorEnded = true
      // The kernel kills the engine with its monitor.
      engineEnded = true
    case .orphansReaped(let left): orphans = left
    }
  }

  package mutating func next(at now: MonotonicInstant) -> Decision {
    if let outcome { return .finished(outcome) }
    if let performed, !isEffective(performed) {
      if now < deadline { return .wait(until: deadline) }
      // What has not come by now is not read any more.
      if performed == .drain { drained = true }
    }
    while let step = steps.popFirst() {
      if !isNeeded(step.action) { continue }
      performed = step.action
      deadline = now.advanced(by: step.patience)
      return .perform(step.action)
    }
    return .finished(.lost)
  }

  private var outcome: Outcome? {
    if monitorEnded && sweptClean && drained { return .clean }
    if let orphans, monitorEnded { return orphans == 0 ? .clean : .lost }
    return nil
  }

  /// Whether what the action is for has come about, so that the next one need not wait.
  private func isEffective(_ action: TeardownAction) -> Bool {
    switch action {
    case .requestShutdown, .closeStdin, .terminateGroup, .killGroup: engineEnded
    case .drain: drained
    case .sweep, .killMonitor: monitorEnded
    case .reapOrphans: orphans != nil
    }
  }

  private func isNeeded(_ action: TeardownAction) -> Bool {
    switch action {
    case .requestShutdown, .closeStdin, .terminateGroup, .killGroup: !engineEnded
    case .drain: !drained
    case .sweep, .killMonitor: !monitorEnded
    case .reapOrphans: !sweptClean
    }
  }
}
