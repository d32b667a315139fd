import PluginProtocol
import Synchronization

/// New versions on trial, and the way back.
extension PluginFleet {
  // MARK: Trials

  /// Starts a new version once, beside the one that serves, and puts it into service when it has answered the
  /// handshake.
  func prove(_ trial: PluginTrial, _ record: PluginRecord) async {
    guard let plugin = trial.plugin else { return }
    let context = context
    let failure: String?
    do {
      let seat = try context.devices.take(plugin)
      defer { context.devices.leave(seat) }
      let launch = try context.launch(plugin, 0, seat.assignment)
      let log = log
      let (ready, end) = try await withEngine(
        launch, spawner: context.spawner, clock: context.clock,
        emit: { event in
          switch event {
          case .stderr(let line):
            record.stderr(line)
            log.write(.debug, plugin.name, line)
          case .noise(let line):
            log.write(.warn, plugin.name, "not a message on stdout (did you print to stdout?): \(line)")
          default: break
          }
        }, { _, _ in true })
      let tail = end.stderrTail.suffix(ExitDiagnosis.tailLimit).joined(separator: " | ")
      failure = ready == true ? nil : end.diagnosis + (tail.isEmpty ? "" : "; last on stderr: \(tail)")
    } catch {
      failure = "\(error)"
    }
    // The worker ends: nothing was shown.
    if Task.isCancelled { return }
    if let failure { await turnDown(trial, failure) } else { await admit(trial, plugin) }
    endTrialWaits(plugin.name)
  }

  func endTrialWaits(_ name: String) {
    let waiters = state.withLock { $0.trialWaiters.removeValue(forKey: name) ?? [] }
    for waiter in waiters { waiter.wake() }
  }

  private func admit(_ trial: PluginTrial, _ plugin: Plugin) async {
    let context = context
    let (fresh, old): (PluginSupervisor?, PluginSupervisor?) = state.withLock { state in
      // Changed again, switched off or removed meanwhile: then it is no longer wanted.
      // Without a supervisor the version before it has fallen out of service meanwhile: all the more reason.
      guard var member = state.members[plugin.name], member.trial?.number == trial.number else { return (nil, nil) }
      let old = member.supervisor
      member.admit(supervise(plugin, member.record, context))
      member.wasReady = true
      member.trial = nil
      member.refused = nil
      state.members[plugin.name] = member
      return (member.supervisor, old)
    }
    guard let fresh else { return }
    begin(fresh)
    old?.retire()
    fresh.record.note("changed", "version \(plugin.manifest.version) is in service")
    log.write(.info, plugin.name, "changed: version \(plugin.manifest.version) is in service")
    task.yield(.keep(plugin))
    await onChange(self)
  }

  private func turnDown(_ trial: PluginTrial, _ reason: String) async {
    guard let name = trial.plugin?.name else { return }
    var trial = trial
    trial.state = .turnedDown(reason)
    let text: String? = state.withLock { [trial] state in
      guard var member = state.members[name], member.trial?.number == trial.number else { return nil }
      member.trial = trial
      member.refuse(member.refused)
      state.members[name] = member
      return trial.sentence(serving: member.supervisor?.plugin.manifest.version)
    }
    guard let text else { return }
    say(name, text)
    // For files that come later than the ones that the manifest names.
    look()
    await onChange(self)
  }

  private func say(_ name: String, _ text: String) {
    member(name)?.record.note("turned down", text)
    log.write(.error, name, text)
  }

  // MARK: The way back

  /// The plugin whose files are to be started: itself, or its copy when its directory holds something else by now.
  func startable(_ plugin: Plugin) -> Plugin {
    guard let kept, !kept.isKept(plugin),
      catalog.read(plugin.directory, source: plugin.source).plugin?.fingerprint != plugin.fingerprint,
      let version = kept.usable(plugin.name), version.origin == plugin.fingerprint
    else { return plugin }
    return version.plugin
  }

  /// A process of a supervisor is ready: its version is one to go back to.
  func becameReady(_ supervisor: PluginSupervisor) {
    let isFirst = state.withLock { state in
      guard let member = state.members[supervisor.plugin.name], member.supervisor === supervisor, !member.wasReady
      else { return false }
      state.members[supervisor.plugin.name]?.wasReady = true
      return true
    }
    if isFirst { task.yield(.keep(supervisor.plugin)) }
  }

  func isNeverReady(_ supervisor: PluginSupervisor) -> Bool {
    state.withLock { state in
      guard let member = state.members[supervisor.plugin.name] else { return false }
      return member.supervisor === supervisor && !member.wasReady
    }
  }

  /// Whether a version that did not start has another one behind it.
  func startFailed(_ supervisor: PluginSupervisor, _ reason: String) -> Bool {
    guard isNeverReady(supervisor) else { return false }
    return earlier(supervisor.plugin) != nil
  }

  /// The version before this one, if it is another and may serve.
  private func earlier(_ plugin: Plugin) -> KeptVersions.Version? {
    guard let kept, !kept.isKept(plugin), let version = kept.usable(plugin.name),
      version.origin != plugin.fingerprint,
      let hash = try? plugin.contentHash(), hash != version.contentHash,
      objection(plugin.name, version.contentHash) == nil
    else { return nil }
    return version
  }

  /// Puts the version before one that did not start back into service. False when there is none.
  func rollBack(_ supervisor: PluginSupervisor, _ reason: String) async -> Bool {
    let plugin = supervisor.plugin
    guard earlier(plugin) != nil, let version = kept?.usable(plugin.name) else { return false }
    let stamp = TreeStamp(of: plugin.directory)
    let context = context
    let trial = PluginTrial(number: 0, plugin: plugin, directory: plugin.directory, state: .turnedDown(reason))
    let fresh: PluginSupervisor? = state.withLock { state in
      guard var member = state.members[plugin.name], member.supervisor === supervisor else { return nil }
      member.admit(supervise(version.plugin, member.record, context))
      // It has started before, if not in this life.
      member.wasReady = true
      member.trial = trial
      member.refuse(stamp)
      state.members[plugin.name] = member
      return member.supervisor
    }
    guard let fresh else { return false }
    begin(fresh)
    say(plugin.name, trial.sentence(serving: version.plugin.manifest.version) ?? reason)
    look()
    await onChange(self)
    return true
  }

  /// Makes the copy of a version that has started well.
  func keep(_ plugin: Plugin) async {
    guard let kept else { return }
    do {
      let living = living(plugin.name)
      let isKept = try await onBlockingThread { cancel in
        try kept.keep(plugin, inUse: living) { try cancel.check() }
      }
      guard isKept else { return }
      kept.prune(plugin.name, inUse: self.living(plugin.name))
    } catch is CancellationError {
      return
    } catch {
      log.write(
        .warn, plugin.name,
        "version \(plugin.manifest.version) is not kept, so that nothing can go back to it after a change: \(error)")
    }
  }
}
