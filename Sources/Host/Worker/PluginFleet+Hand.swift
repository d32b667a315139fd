import PluginProtocol
import Synchronization

/// What the operator asks for.
extension PluginFleet {
  /// Restarts a plugin's processes. Jobs on them may finish within `grace`; then they go back into line, and nobody is
  /// blamed. A version that was turned down is tried again.
  ///
  /// - Returns: how that went; nil when nothing had to leave.
  package func restart(
    _ name: String, grace: Duration, waits: Bool
  ) async throws(RPCError) -> PluginSupervisor.Drained? {
    let member = try known(name)
    // A restart by hand says that the cause has been put right.
    if member.isQuarantined {
      try await enable(name)
      return nil
    }
    if let trial = retry(name) {
      member.record.note("restart", "asked for by the operator")
      task.yield(.prove(trial, member.record))
      await onChange(self)
      return nil
    }
    guard let supervisor = member.supervisor else {
      throw RPCError(control: .conflict, "plugin \(name) is out of service: \(member.outOfService ?? "")")
    }
    return await drain(supervisor, supervisor.restart(), grace, waits)
  }

  /// A new trial of the version in the directory, if that was turned down.
  private func retry(_ name: String) -> PluginTrial? {
    guard let member = member(name), let trial = member.trial, trial.state != .proving, let plugin = member.entry.plugin
    else { return nil }
    let stamp = TreeStamp(of: member.entry.directory)
    return state.withLock { state in
      guard var member = state.members[name], member.supervisor != nil, member.trial?.number == trial.number else {
        return nil
      }
      let again = begin(plugin, &member, stamp, &state)
      state.members[name] = member
      return again
    }
  }

  private func drain(
    _ supervisor: PluginSupervisor, _ places: Set<Dispatcher.Place>, _ grace: Duration, _ waits: Bool
  ) async -> PluginSupervisor.Drained? {
    let ticket = DrainTicket()
    // By the fleet and not by the caller, who may go before it is over.
    task.yield(.drain(supervisor, places, grace, ticket))
    return waits ? await ticket.end() : nil
  }

  /// Versions of a plugin that are out of service, and of which processes are still there.
  package func leaving(_ name: String) -> [PluginSupervisor] {
    state.withLock { state in
      state.living.values.filter { $0.plugin.name == name && $0 !== state.members[name]?.supervisor }
    }
  }

  /// Removes what an installation has put aside, when nobody runs from it and nobody may want it back.
  func sweepTrash(_ name: String) {
    guard kept != nil, leaving(name).isEmpty, member(name)?.trial == nil else { return }
    PluginTrash.sweep(directories, of: name)
  }

  /// Waits until the processes of versions that are out of service have left, also those of a plugin that was removed.
  package func drain(leaving name: String, grace: Duration) async -> PluginSupervisor.Drained {
    var sum = PluginSupervisor.Drained()
    for supervisor in leaving(name) {
      guard let drained = await drain(supervisor, supervisor.retire(), grace, true) else { continue }
      sum.returned += drained.returned
      sum.isComplete = sum.isComplete && drained.isComplete
    }
    return sum
  }

  /// Switches a plugin off. Its running jobs may finish within `grace`; then they go back into line.
  package func disable(
    _ name: String, grace: Duration, waits: Bool
  ) async throws(RPCError) -> PluginSupervisor.Drained? {
    _ = try known(name)
    try store { try marks.setDisabled(name, true) }
    let supervisor: PluginSupervisor? = state.withLock { state in
      guard var member = state.members[name] else { return nil }
      let old = member.supervisor
      member.supervisor = nil
      member.trial = nil
      member.refused = nil
      member.wasReady = false
      if member.entry.plugin != nil, let objection = objection(name, member.contentHash) {
        member.outOfService = objection.reason
        member.isDisabled = objection.isOperators
      }
      state.members[name] = member
      return old
    }
    log.write(.info, name, "switched off by the operator")
    member(name)?.record.note("disabled", "by the operator")
    let places = supervisor?.retire() ?? []
    endTrialWaits(name)
    await onChange(self)
    guard let supervisor else { return nil }
    return await drain(supervisor, places, grace, waits)
  }

  /// Switches a plugin on, and lifts its quarantine.
  package func enable(_ name: String) async throws(RPCError) {
    _ = try known(name)
    try store {
      try marks.setDisabled(name, false)
      try marks.lift(name)
    }
    try await reinstate(name, "enabled")
  }

  /// Lifts quarantines by a plugin's name or a content hash. Plugins that they kept out of service serve again.
  ///
  /// - Throws: `not_found` when there is none.
  package func lift(_ target: String) async throws(RPCError) -> [QuarantineView] {
    var lifted: [(hash: String, mark: PluginMarks.Quarantine)] = []
    try store { lifted = try marks.lift(target) }
    guard !lifted.isEmpty else { throw QuarantineView.unknown(target, among: marks.quarantines) }
    let views = lifted.map { QuarantineView($0.hash, $0.mark) }
    for name in Set(views.map(\.name)) where member(name)?.isQuarantined == true {
      try await reinstate(name, "quarantine lifted")
    }
    return views
  }

  /// Plugins' versions that are kept out of service, the oldest quarantine first.
  package var quarantines: [QuarantineView] { marks.quarantines.map { QuarantineView($0.hash, $0.mark) } }

  private func reinstate(_ name: String, _ event: String) async throws(RPCError) {
    let before = try known(name)
    let hash = marks.hasQuarantines ? try? before.entry.plugin?.contentHash() : nil
    let context = context
    let fresh: PluginSupervisor? = state.withLock { state in
      guard var member = state.members[name], member.supervisor == nil else { return nil }
      member.isQuarantined = false
      member.isDisabled = false
      if let plugin = member.entry.plugin {
        if let objection = objection(name, hash) {
          member.outOfService = objection.reason
          member.isDisabled = objection.isOperators
          member.isQuarantined = !objection.isOperators
        } else {
          member.refused = nil
          member.trial = nil
          member.admit(supervise(plugin, member.record, context))
        }
      }
      state.members[name] = member
      return member.supervisor
    }
    if let fresh {
      begin(fresh)
      log.write(.info, name, "\(event) by the operator")
      fresh.record.note(event, "by the operator")
    } else if let reason = member(name)?.outOfService {
      throw RPCError(control: .conflict, "plugin \(name) stays out of service: \(reason)")
    }
    await onChange(self)
  }

  /// The plugin of that name.
  /// - Throws: `not_found`, with the nearest name.
  package func known(_ name: String) throws(RPCError) -> Member {
    if let member = member(name) { return member }
    let names = state.withLock { $0.order }
    let hint = NearestName.find(name, among: names).map { "; did you mean \($0)?" } ?? "; see `stoker plugins list`"
    throw RPCError(control: .notFound, "there is no plugin \(name)\(hint)")
  }

  private func store(_ body: () throws -> Void) throws(RPCError) {
    do {
      try body()
    } catch {
      throw RPCError(.resource, "that cannot be stored: \(error)")
    }
  }
}
