import PluginProtocol
import Synchronization

/// Looking at the plugin directories. One look at a time: the first when the worker starts, all others by
/// `lookWhenAsked`.
extension PluginFleet {
  /// Asks for a look soon.
  package func look() { looking.wake() }

  /// Looks at the directories now and waits until what was found is in effect.
  ///
  /// - Parameter name: a plugin that is whole, and need not be watched for a moment; waits for the end of its trial too.
  package func look(whole name: String) async {
    let looked = Nap()
    state.withLock { state in
      state.whole.insert(name)
      state.lookers.append(looked)
    }
    looking.wake()
    await looked.rest(nil)
    let ended = Nap()
    let mustWait = state.withLock { state in
      guard state.members[name]?.trial?.state == .proving else { return false }
      state.trialWaiters[name, default: []].append(ended)
      return true
    }
    if mustWait { await ended.rest(nil) }
  }

  func lookWhenAsked() async {
    while !Task.isCancelled {
      await looking.rest(state.withLock { $0.nextLook })
      if Task.isCancelled { return }
      await rescan()
    }
  }

  /// What has to be known of an entry before anything is decided, read without the lock.
  private struct Finding {
    var entry: CatalogEntry
    var stamp: TreeStamp
    var hash: String?
    var hasTwin: Bool
  }

  private struct Effects {
    var fresh: [PluginSupervisor] = []
    var retired: [PluginSupervisor] = []
    var trials: [(PluginTrial, PluginRecord)] = []
    var removed: [String] = []
    var notes: [(LogLevel, String, String)] = []
    /// Time after which there is something to be looked at again; nil for nothing.
    var again: Duration?

    mutating func lookAgain(after time: Duration) { again = min(again ?? time, time) }
  }

  /// Looks at the plugin directories, and brings what changed into or out of service.
  package func rescan() async {
    let (isFirst, whole, lookers) = state.withLock { state in
      defer { (state.hasLooked, state.whole, state.lookers) = (true, [], []) }
      return (!state.hasLooked, state.whole, state.lookers)
    }
    let snapshot = catalog.scan(directories)
    if isFirst {
      kept?.load(names: Set(snapshot.entries.map(\.name)))
      if kept != nil { PluginTrash.sweep(directories, of: nil) }
    }
    let findings = findings(snapshot)
    let records = records(of: findings.map(\.entry.name))
    let context = context
    var effects = Effects()
    state.withLock { state in
      var members: [String: Member] = [:]
      for finding in findings where members[finding.entry.name] == nil {
        let name = finding.entry.name
        var member = state.members[name] ?? Member(entry: finding.entry, record: records[name] ?? PluginRecord())
        apply(
          finding, to: &member, isWhole: isFirst || whole.contains(name), context,
          &state, &effects)
        members[name] = member
      }
      for (name, old) in state.members where members[name] == nil {
        if let supervisor = old.supervisor { effects.retired.append(supervisor) }
        effects.removed.append(name)
        effects.notes.append((.info, name, "removed"))
      }
      state.members = members
      state.order = snapshot.entries.map(\.name).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
      state.diagnostics = snapshot.diagnostics
      state.nextLook = effects.again
    }
    await act(effects)
    for looker in lookers { looker.wake() }
  }

  private func act(_ effects: Effects) async {
    for name in effects.removed { kept?.forget(name) }
    for supervisor in effects.retired { supervisor.retire() }
    for supervisor in effects.fresh { begin(supervisor) }
    for (trial, record) in effects.trials { task.yield(.prove(trial, record)) }
    for (level, name, text) in effects.notes { log.write(level, name, text) }
    for name in effects.removed {
      let living = state.withLock { $0.living.values.map(\.plugin).filter { $0.name == name } }
      kept?.prune(name, inUse: living)
      endTrialWaits(name)
    }
    if !effects.notes.isEmpty { await onChange(self) }
  }

  private func findings(_ snapshot: CatalogSnapshot) -> [Finding] {
    let known = state.withLock { $0.members }
    var counts: [String: Int] = [:]
    for entry in snapshot.entries { counts[entry.name, default: 0] += 1 }
    return snapshot.entries.map { entry in
      let old = known[entry.name]
      let isOld = old?.entry == entry
      var hash = isOld ? old?.contentHash : nil
      if hash == nil, let plugin = entry.plugin, marks.hasQuarantines || kept?.version(entry.name) != nil {
        hash = try? plugin.contentHash()
      }
      // Nobody asks what an unchanged directory without a history is like.
      let stamp = isOld && old?.refused == nil && old?.unsettled == nil ? nil : TreeStamp(of: entry.directory)
      return Finding(
        entry: entry, stamp: stamp ?? TreeStamp(of: ""), hash: hash, hasTwin: counts[entry.name, default: 0] > 1)
    }
  }

  /// Why a plugin may not serve, by what the operator and the host have decided; nil when it may.
  func objection(_ name: String, _ hash: String?) -> (reason: String, isOperators: Bool)? {
    if !configuration.plugin(name).enabled {
      return ("it is switched off in the configuration (plugins.\(name).enabled)", true)
    }
    if marks.isDisabled(name) { return ("it is switched off; switch it on with `stoker plugins enable \(name)`", true) }
    if let hash, let mark = marks.quarantine(hash) { return (quarantined(name, mark.reason), false) }
    return nil
  }

  private func apply(
    _ finding: Finding, to member: inout Member, isWhole: Bool, _ context: SupervisorContext,
    _ state: inout State, _ effects: inout Effects
  ) {
    let name = finding.entry.name
    var known = PluginChange.Known()
    known.entry = member.isJudged ? member.entry : nil
    known.isServing = member.supervisor != nil
    known.hasStarted = member.wasReady || member.isOnEarlierVersion
    known.serving = member.supervisor?.plugin.fingerprint
    known.unsettled = member.unsettled
    known.turnedDown = member.mayRetry ? member.refused : nil
    var objection = objection(name, finding.hash)
    // Corrected in a file that the hash does not cover: a quarantine is for what lay there before.
    if let refused = objection, !refused.isOperators, known.entry == finding.entry, known.turnedDown != nil,
      known.turnedDown != finding.stamp
    {
      objection = nil
    }
    let change = PluginChange.decide(
      known, found: finding.entry, stamp: finding.stamp, objection: objection?.reason,
      isOperators: objection?.isOperators ?? false, hasTwin: finding.hasTwin, isWhole: isWhole)
    let wasServing = member.supervisor != nil
    if change != .wait { member.unsettled = nil }
    if change != .none, change != .wait {
      if !member.isJudged || member.entry != finding.entry { member.refusals = 0 }
      member.entry = finding.entry
      member.isJudged = true
      member.refused = nil
      member.trial = nil
    }
    if change != .wait { member.contentHash = finding.hash }
    switch change {
    case .none: break
    case .wait:
      effects.lookAgain(after: PluginFleet.settle)
      if !member.isJudged { member.outOfService = "its files are still being written" }
      member.unsettled = finding.stamp
    case .serve:
      if let old = member.supervisor { effects.retired.append(old) }
      guard let plugin = finding.entry.plugin else { break }
      member.admit(supervise(plugin, member.record, context))
      if let fresh = member.supervisor { effects.fresh.append(fresh) }
      effects.notes.append(
        (.info, name, !wasServing ? "in service" : "changed: the new version is in service"))
    case .back: effects.notes.append((.info, name, "the version in service lies in its directory again"))
    case .prove:
      guard let plugin = finding.entry.plugin else { break }
      let trial = begin(plugin, &member, finding.stamp, &state)
      effects.trials.append((trial, member.record))
      effects.notes.append((.info, name, "changed: version \(plugin.manifest.version) is being started on trial"))
    case .turnDown(let reason):
      member.refuse(finding.stamp)
      let trial = PluginTrial(
        number: 0, plugin: finding.entry.plugin, directory: finding.entry.path, state: .turnedDown(reason))
      member.trial = trial
      let serving = member.supervisor?.plugin.manifest.version
      effects.notes.append((.error, name, trial.sentence(serving: serving) ?? reason))
    case .off(let reason):
      if let old = member.supervisor { effects.retired.append(old) }
      member.supervisor = nil
      member.wasReady = false
      member.outOfService = reason
      member.isDisabled = objection?.isOperators ?? false
      member.isQuarantined = objection.map { !$0.isOperators } ?? false
      if member.isQuarantined { member.refuse(finding.stamp) }
      effects.notes.append((.warn, name, "out of service: \(reason)"))
    }
    if member.trial?.state != .proving, member.refused != nil || (member.entry.plugin == nil && member.isJudged) {
      if change == .none, member.retryAt.map({ $0 <= .now }) ?? true { member.refusals += 1 }
      // What is wrong may be put right where no watch is.
      effects.lookAgain(after: member.pause)
    }
  }

  /// Puts a version on trial.
  func begin(_ plugin: Plugin, _ member: inout Member, _ stamp: TreeStamp, _ state: inout State) -> PluginTrial {
    state.nextTrial += 1
    let trial = PluginTrial(
      number: state.nextTrial, plugin: plugin, directory: member.entry.path, state: .proving)
    member.trial = trial
    member.refused = stamp
    return trial
  }
}

extension PluginFleet.Member {
  /// Whether the version in service is not the one in the directory.
  var isOnEarlierVersion: Bool {
    guard let supervisor else { return false }
    return supervisor.plugin.fingerprint != entry.plugin?.fingerprint
  }

  /// How long what was turned down is left alone: an engine that changes its own directory when it is started must not be
  /// started again and again for that.
  var pause: Duration { min(PluginFleet.longestPause, PluginFleet.firstPause * (1 << min(refusals, 10))) }

  /// Whether a change in the directory counts: not while it is on trial, and not too soon after the last.
  var mayRetry: Bool {
    if trial?.state == .proving { return false }
    return retryAt.map { $0 <= .now } ?? true
  }

  /// Notes what was turned down.
  mutating func refuse(_ stamp: TreeStamp?) {
    refused = stamp
    retryAt = .now + pause
    refusals += 1
  }

  /// Puts a supervisor into service.
  mutating func admit(_ supervisor: PluginSupervisor) {
    self.supervisor = supervisor
    outOfService = nil
    wasReady = false
    isQuarantined = false
    isDisabled = false
  }
}
