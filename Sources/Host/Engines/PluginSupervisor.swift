import Glibc
import PluginProtocol
import Synchronization

/// What a supervisor needs of the worker around it.
package struct SupervisorContext: Sendable {
  package var dispatcher: Dispatcher
  package var runner: JobRunner
  package var spawner: ProcessSpawner
  package var clock: any HostClock
  package var log: HostLog
  /// Makes all that is needed to start a process of the plugin; creates its directories.
  package var launch: @Sendable (Plugin, _ slot: Int, DeviceAssignment) throws -> EngineLaunch
  package var devices: DeviceBoard
  package var residency: Residency
  /// Engine that the catalogue names for a model, if it does.
  package var modelEngine: @Sendable (_ model: String) -> String?
  /// Keeps a model's files from being removed while an engine has it loaded; nil for models without files.
  package var claimModel: @Sendable (_ model: String) -> ModelUse?
  package var restart: RestartPolicy.Settings
  package var life = PluginLife()
}

/// Keeps one plugin's engine processes: starts them when there is work, hands them jobs, starts them again when they die.
package final class PluginSupervisor: Sendable {
  /// Why `run` has returned.
  package enum Outcome: Sendable, Equatable {
    /// It was retired, or the worker stops.
    case retired
    /// The engine kept dying.
    case quarantined(String)
    /// It will not work until it changes.
    case unusable(String)
    /// Its first start failed, and an earlier version takes over.
    case rejected(String)
  }

  package let plugin: Plugin
  package let record: PluginRecord
  let context: SupervisorContext
  private let preload: Bool

  struct State {
    var policy: RestartPolicy
    var isRetired = false
    var places: Set<Dispatcher.Place> = []
    /// Processes that are ready, to be told to go when a drain takes too long.
    var engines: [Dispatcher.Place: EngineProcess] = [:]
    /// Those who wait for places to be left.
    var drains: [Nap] = []
    var outcome: Outcome?
    /// Slots whose process could not be killed.
    var lostSlots: Set<Int> = []
    /// Processes that take jobs, and those who wait for one.
    var ready: [Int: ReadyProcess] = [:]
    var starters: [Int: CheckedContinuation<Result<ReadyProcess, StartFailure>, Never>] = [:]
    var nextStarter = 0
    /// Whether a process is to be started although no job asks for it.
    var isWanted = false
  }
  let state: Mutex<State>
  /// One a slot: its backoff.
  private let naps: [Nap]

  package init(plugin: Plugin, record: PluginRecord, preload: Bool, context: SupervisorContext) {
    self.plugin = plugin
    self.record = record
    self.preload = preload
    self.context = context
    state = Mutex(State(policy: RestartPolicy(settings: context.restart)))
    naps = (0..<plugin.manifest.processes).map { _ in Nap() }
  }

  /// Serves until retired. Running jobs end first; cancelling the task stops engines and gives their jobs back.
  package func run() async -> Outcome {
    await withDiscardingTaskGroup { group in
      for slot in 0..<plugin.manifest.processes {
        group.addTask { await self.runSlot(slot) }
      }
    }
    // Whoever asks from now on is told so at once.
    state.withLock { $0.isRetired = true }
    failStarters("plugin \(plugin.name) was taken out of service")
    return state.withLock { $0.outcome ?? .retired }
  }

  /// Takes the plugin out of service: its processes finish the jobs they have, then leave.
  ///
  /// - Returns: where they are, for ``drain(_:grace:)``.
  @discardableResult
  package func retire() -> Set<Dispatcher.Place> {
    let places = state.withLock { state in
      state.isRetired = true
      return state.places
    }
    for place in places { context.dispatcher.retire(place) }
    for nap in naps { nap.wake() }
    return places
  }

  /// Starts the plugin's processes anew; running jobs end on the old ones. A restart by hand is no crash.
  ///
  /// - Returns: where the old ones are, for ``drain(_:grace:)``.
  @discardableResult
  package func restart() -> Set<Dispatcher.Place> {
    record.note("restart", "asked for by the operator")
    let places = state.withLock { state in
      state.policy.forgive()
      return state.places
    }
    for place in places { context.dispatcher.retire(place) }
    for nap in naps { nap.wake() }
    return places
  }

  // MARK: One slot

  private func runSlot(_ slot: Int) async {
    var isWanted = preload
    while true {
      let place = context.dispatcher.makePlace()
      let isWelcome: Bool = state.withLock { state in
        guard !state.isRetired, state.outcome == nil, !Task.isCancelled, !state.lostSlots.contains(slot) else {
          return false
        }
        state.places.insert(place)
        return true
      }
      guard isWelcome else { return }
      defer {
        leave(place)
        context.dispatcher.forget(place)
      }
      if takeWish() { isWanted = true }
      var first: WaitingJob?
      if !isWanted {
        first = await context.dispatcher.next(place, isWarm: false, rank: coldRank)
        guard let job = first else { continue }
        context.runner.live.expect(job.id)
      }
      isWanted = await life(slot, place, first: first)
    }
  }

  private var serves: @Sendable (JobLane) -> Bool {
    let manifest = plugin.manifest
    let modelEngine = context.modelEngine
    return { lane in ModelRouter.serves(manifest, lane.kind, lane.model, engine: modelEngine(lane.model)) }
  }

  /// How well a process that is yet to be started would serve a lane.
  private var coldRank: @Sendable (JobLane) -> LaneRank? {
    let serves = serves
    let context = context
    let plugin = plugin
    let keepsModels = plugin.manifest.features.contains(Feature.modelResidency.rawValue)
    return { lane in
      guard serves(lane) else { return nil }
      guard keepsModels else { return .ready(.loaded, pools: []) }
      // What cannot be assigned fails when the process is started, with the reason.
      let devices = (try? context.devices.choose(plugin).devices.map(\.id)) ?? []
      return context.residency.rank(lane.model, of: plugin.manifest, on: devices)
    }
  }

  /// One process from spawn to sweep. Returns whether another one is wanted without a job for it.
  private func life(_ slot: Int, _ place: Dispatcher.Place, first: WaitingJob?) async -> Bool {
    let name = plugin.name
    let record = record
    let served = Served()
    var pending = first
    do {
      let seat = try context.devices.take(plugin)
      defer { context.devices.leave(seat) }
      let assignment = seat.assignment
      let launch = try context.launch(plugin, slot, assignment)
      if launch.process.sandbox == nil { context.log.write(.info, name, "sandbox: switched off by the configuration") }
      let process = record.begin(
        version: plugin.manifest.version, devices: assignment.devices.map(\.id.description))
      defer { record.end(process) }
      let (value, end) = try await withEngine(
        launch, spawner: context.spawner, clock: context.clock, emit: listener(process, launch)
      ) { engine, description in
        if let first { context.dispatcher.reserve(first, for: place) }
        served.ready(at: context.clock.now())
        await withDiscardingTaskGroup { group in
          if let quota = launch.diskQuota { group.addTask { await quota.watch(engine) } }
          await self.serve(slot, process, place, engine, description, served, assignment)
          group.cancelAll()
        }
        record.update(process) { $0.state = .stopping }
        return true
      }
      // Gone from the record before the backoff, which may be long.
      record.end(process, end.counters)
      if value != nil { pending = nil }
      if case .killed(.diskQuota) = end.cause { await launch.diskQuota?.dispose() }
      note(end, served)
      if let pending { context.dispatcher.giveBack(pending, from: place) }
      pending = nil
      return await after(end, served, slot)
    } catch {
      if let pending, !served.wasReady { context.dispatcher.giveBack(pending, from: place) }
      context.log.write(.error, name, "\(error)")
      record.note("failed to start", "\(error)")
      if error is DeviceChoiceError || error is SandboxRefusal {
        // The operator's wish is what cannot be: the plugin is not to blame, and to try again is of no use.
        outOfService(.unusable("\(error)"))
        return false
      }
      record.update { $0.counters.crashes += 1 }
      return await died("\(error)", served, slot, isStart: true)
    }
  }

  /// Runs jobs until the process dies, has been idle for long enough, or its place is retired.
  private func serve(
    _ slot: Int, _ process: Int, _ place: Dispatcher.Place, _ engine: EngineProcess, _ description: EngineDescription,
    _ served: Served, _ assignment: DeviceAssignment
  ) async {
    let residency = context.residency
    var holder: MemoryLedger.HolderID?
    if description.abilities.keepsModels {
      holder = await residency.enter(
        EngineSeat(
          engine: engine, plugin: plugin.name, version: plugin.manifest.version,
          declared: plugin.manifest.device.memoryPerModel, maxModels: plugin.manifest.residentModels,
          devices: assignment.devices.map(\.id), claim: context.claimModel))
    }
    let seat = holder
    defer { if let seat { residency.leave(seat) } }
    record.update(process) { process in
      process.state = .ready
      process.pid = engine.pid
      process.models = { seat.map(residency.models(in:)) ?? [] }
      process.counters = { engine.counters }
    }
    record.update { $0.backoffUntil = nil }
    enter(place, engine)
    becameReady(slot, ReadyProcess(pid: engine.pid, holder: seat))
    if state.withLock({ $0.outcome == nil && !$0.isRetired }) { context.life.becameReady(self) }
    defer { state.withLock { _ = $0.ready.removeValue(forKey: slot) } }
    let here = JobRunner.Place(
      plugin: plugin.name, pid: engine.pid, engine: engine, description: description, holder: seat,
      company: { served.company }, processes: plugin.manifest.processes)
    let lanes = min(description.concurrency, plugin.manifest.concurrency)
    let idleExit = plugin.manifest.timeouts.idleExit
    let narrowed = description.models.map { $0.map { ModelPattern($0) } }
    let base = serves
    let rank: @Sendable (JobLane) -> LaneRank? = { lane in
      guard base(lane), narrowed.map({ patterns in patterns.contains { $0.matches(lane.model) } }) ?? true else {
        return nil
      }
      return seat.map { residency.rank(lane.model, at: $0) } ?? .ready(.loaded, pools: [])
    }
    await withDiscardingTaskGroup { group in
      group.addTask {
        await engine.gone()
        self.context.dispatcher.retire(place)
        // At once, not when its last job has been told: others may wait for its memory.
        if let seat { residency.leave(seat) }
      }
      group.addTask { await self.retireWhenIdle(place, served, idleExit, seat) }
      await withDiscardingTaskGroup { workers in
        for _ in 0..<lanes {
          workers.addTask {
            while let job = await self.context.dispatcher.next(place, isWarm: true, rank: rank) {
              served.begin()
              self.record.update(process) { $0.jobs.append(job.id.description) }
              let verdict = await self.context.runner.run(job, at: here)
              self.record.update(process) { $0.jobs.removeAll { $0 == job.id.description } }
              let now = self.context.clock.now()
              served.end(job.id, verdict, at: now)
              if verdict == .good { self.state.withLock { $0.policy.served(now: now) } }
              self.context.dispatcher.jobLeft(place)
              if verdict == .gone || verdict == .poisoned { return }
            }
          }
        }
      }
      self.state.withLock { _ = $0.ready.removeValue(forKey: slot) }
      engine.stop(grace: plugin.manifest.timeouts.shutdown)
      group.cancelAll()
    }
  }

  private func retireWhenIdle(
    _ place: Dispatcher.Place, _ served: Served, _ idleExit: Duration, _ holder: MemoryLedger.HolderID?
  ) async {
    guard !preload else { return }
    while !Task.isCancelled {
      let now = context.clock.now()
      let idle = served.idle(now: now)
      if idle != nil, let holder, context.residency.mustStay(holder) {
        try? await Task.sleep(for: max(.milliseconds(100), idleExit))
        continue
      }
      if let idle, idle >= idleExit {
        record.note("idle", "stopped after \(idle.short) without a job")
        context.dispatcher.retire(place)
        return
      }
      // At most one look every idleExit: while jobs run there is nothing to decide.
      try? await Task.sleep(for: max(.milliseconds(100), idleExit - (idle ?? .zero)))
    }
  }

  // MARK: After a life

  private func after(_ end: EngineEnd, _ served: Served, _ slot: Int) async -> Bool {
    if end.isLost { retireLost(slot) }
    switch end.verdict {
    case .wanted(let startAgain):
      context.log.write(.debug, plugin.name, "stopped")
      return startAgain
    case .unusable:
      context.log.write(.error, plugin.name, end.diagnosis)
      outOfService(.unusable(end.diagnosis))
      return false
    case .crash(let isStart):
      context.log.write(.error, plugin.name, end.diagnosis + tail(end))
      return await died(end.diagnosis, served, slot, isStart: isStart)
    case .outOfMemory(let isStart):
      context.log.write(.error, plugin.name, end.diagnosis + tail(end))
      return await died(end.diagnosis, served, slot, isStart: isStart, counts: false)
    }
  }

  /// A process that cannot be killed may hold a device or memory: no other one is started in its slot.
  private func retireLost(_ slot: Int) {
    let isLast = state.withLock { state in
      state.lostSlots.insert(slot)
      return state.lostSlots.count == plugin.manifest.processes
    }
    let what = "a process of it cannot be killed: its slot stays unused until the worker starts anew"
    record.note("lost", what)
    context.log.write(.error, plugin.name, what)
    if isLast { outOfService(.unusable("its processes cannot be killed; see `stoker logs`, and restart the machine")) }
  }

  private func tail(_ end: EngineEnd) -> String {
    let lines = end.stderrTail.suffix(ExitDiagnosis.tailLimit)
    return lines.isEmpty ? "" : "; last on stderr: " + lines.joined(separator: " | ")
  }

  /// A process died by itself. Waits out the backoff; returns whether to start again without a job.
  private func died(_ diagnosis: String, _ served: Served, _ slot: Int, isStart: Bool, counts: Bool = true) async
    -> Bool
  {
    let now = context.clock.now()
    let chance = Double.random(in: 0...1)
    let decision = state.withLock { state in
      state.policy.died(
        now: now, lived: served.lived(now: now), finishedJobs: served.finished, chance: chance, jobs: served.lost,
        poison: served.poison, counts: counts)
    }
    failStarters(diagnosis)
    if isStart, context.life.startFailed(self, diagnosis) {
      outOfService(.rejected(diagnosis))
      return false
    }
    switch decision {
    case .quarantine:
      let reason =
        "it died \(context.restart.quarantineDeaths.counted("time")) within \(context.restart.quarantineWindow.short); last: \(diagnosis)"
      context.log.write(
        .error, plugin.name,
        "quarantined: \(reason). Lift it with `stoker plugins quarantine lift \(plugin.name)`, or by a change of the plugin"
      )
      outOfService(.quarantined(reason))
      return false
    case .restart(let delay):
      record.update { state in
        state.counters.restarts += 1
        state.backoffUntil = now.advanced(by: delay)
      }
      context.log.write(.info, plugin.name, "is started again in \(delay.short), when needed")
      await naps[slot].rest(delay)
      record.update { $0.backoffUntil = nil }
      return !isStart
    }
  }

  private func outOfService(_ outcome: Outcome) {
    let places = state.withLock { state in
      // Out of service it is already: how its last processes end is nobody's verdict on the version after it.
      if state.outcome == nil, !state.isRetired { state.outcome = outcome }
      return state.places
    }
    for place in places { context.dispatcher.retire(place) }
    for nap in naps { nap.wake() }
    let reason: String =
      switch outcome {
      case .retired: "it was taken out of service"
      case .quarantined(let text), .unusable(let text), .rejected(let text): text
      }
    failStarters(reason)
  }
}
