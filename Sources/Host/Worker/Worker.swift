import Glibc
import PluginProtocol
import Synchronization

/// How a worker is started.
package struct WorkerOptions: Sendable {
  package var layout: HomeLayout
  package var configuration: HostConfiguration
  package var environment: [String: String]
  package var version: String
  /// Serves the control socket and obeys signals; false for a worker inside another program (`stoker exec`).
  package var isDaemon: Bool
  package var log: HostLog
  package var clock: any HostClock = SystemHostClock()
  /// Remote coordinators, and how many jobs each may have in hand.
  package var coordinators: [(coordinator: any Coordinator, maxJobs: Int)] = []
  /// Makes one that sees the wire of a process of the plugin, beside a trace; nil for none.
  package var observer: (@Sendable (Plugin) -> (any WireObserver)?)?

  package init(
    layout: HomeLayout, configuration: HostConfiguration, environment: [String: String], version: String,
    isDaemon: Bool, log: HostLog
  ) {
    self.layout = layout
    self.configuration = configuration
    self.environment = environment
    self.version = version
    self.isDaemon = isDaemon
    self.log = log
  }
}

/// The host: store, plugins, scheduler and ways in, put together.
package final class Worker: Sendable {
  /// Time that running jobs get to finish when the worker is told to stop; afterwards they go back into line.
  static let stopPatience: Duration = .seconds(3)

  let options: WorkerOptions
  let store: JobStore
  let models: ModelStore
  let live = LiveJobs()
  let dispatcher: Dispatcher
  let fleet: PluginFleet
  let intake: JobIntake
  let resources: MachineResources
  let inputs: InputStage
  let factory: EngineLaunchFactory
  let residency: Residency
  let devices: DeviceInventory
  let blame = BlameBook()
  let upkeep = Nap()
  let changes = ChangeSignal()
  let startedAt = Timestamp.now()
  let startedInstant: MonotonicInstant
  private let stops: AsyncStream<Void>
  private let stop: AsyncStream<Void>.Continuation

  var log: HostLog { options.log }

  /// Opens the home: directories, database, leftovers of a former life. Nothing runs yet.
  ///
  /// - Throws: `HomeError`, `JobStoreError`, `ModelError` or `SourceDiagnostics`, each a sentence to act on.
  package init(_ options: WorkerOptions) throws {
    self.options = options
    TerminationSignals.ignoreBrokenPipes()
    try options.layout.prepare()
    let configuration = options.configuration
    let log = options.log
    let clock = options.clock
    resources = MachineResources.read()
    startedInstant = clock.now()
    (stops, stop) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(4))
    store = try JobStore.open(
      directory: options.layout.dataDirectory,
      options: JobStoreOptions(
        maxQueued: configuration.jobs.maxQueued, maxAttempts: configuration.jobs.maxAttempts,
        retention: RetentionPolicy(
          maxAgeSeconds: configuration.jobs.retentionMaxAge.components.seconds,
          maxCount: configuration.jobs.retentionMaxCount)),
      artifactLimits: ArtifactLimits(
        maxFiles: configuration.jobs.maxArtifactFiles, maxBytes: configuration.jobs.maxArtifactBytes))
    Worker.report(store.openReport, log)
    let catalogue = try Worker.modelCatalogue(options)
    models = ModelStore(
      directory: options.layout.modelsDirectory, catalogue: catalogue,
      settings: ModelStoreSettings(environment: options.environment, keepFree: configuration.models.keepFree))
    let leftovers = try Leftovers(directory: FilePath.join(options.layout.stateDirectory, "engines"))
    let swept = leftovers.sweep()
    if !swept.ended.isEmpty { log.write(.warn, "host", "ended \(swept.ended.count) engines of a former life") }
    let dispatcher = Dispatcher(
      clock: clock, limit: configuration.scheduling.maxConcurrentJobs, maxWait: configuration.fairness.maxWait,
      alarm: upkeep, onReturn: { [live] in live.unexpect($0) })
    self.dispatcher = dispatcher
    var inputSettings = InputSettings()
    inputSettings.maxInputBytes = configuration.inputs.maxBytes
    inputSettings.allowPrivateAddresses = configuration.inputs.allowPrivateAddresses
    let inputs = try InputStage(store: store, settings: inputSettings, clock: clock)
    self.inputs = inputs
    let devices = DeviceInventory(
      configured: configuration.devices, probes: .machine(environment: options.environment), clock: clock)
    self.devices = devices
    let residency = Residency(
      policy: ResidencyPolicy(configuration, resources), probe: .machine(devices),
      footprints: Footprints(path: FilePath.join(options.layout.stateDirectory, "footprints.json")), clock: clock,
      log: log,
      onChange: { dispatcher.match() })
    self.residency = residency
    let board = DeviceBoard(
      inventory: devices, residency: residency, setting: { configuration.plugin($0).devices })
    let marks = PluginMarks(path: FilePath.join(options.layout.stateDirectory, "plugins.json")) {
      log.write(.error, "host", $0)
    }
    var factory = EngineLaunchFactory(
      layout: options.layout, configuration: configuration, resources: resources, environment: options.environment,
      hostVersion: options.version,
      modelFiles: { manifest in
        catalogue.externalFiles { ModelRouter.serves(manifest, $0.kind, $0.id, engine: $0.engine) }
      })
    let trace = WireTrace(environment: options.environment, hostVersion: options.version, clock: clock) {
      log.write(.error, "host", $0)
    }
    let observer = options.observer
    factory.observers = { plugin in [trace?.observer(plugin), observer?(plugin)].compactMap(\.self) }
    self.factory = factory
    let launch: @Sendable (Plugin, Int, DeviceAssignment) throws -> EngineLaunch = { [factory] in
      try factory.make($0, slot: $1, devices: $2)
    }
    // A worker for one command is not alone in the cache.
    if options.isDaemon { factory.sweep() }
    let (store, live, models, changes, blame) = (store, live, models, changes, blame)
    let histories = FilePath.join(options.layout.stateDirectory, "history")
    PluginHistoryFile.prune(histories)
    let intakeBox = Mutex<JobIntake?>(nil)
    let catalog = PluginCatalog(searchPath: PluginCatalog.searchPath(options.environment["PATH"]))
    let kept =
      options.isDaemon
      ? KeptVersions(directory: FilePath.join(options.layout.stateDirectory, "kept"), catalog: catalog) : nil
    let fleet = PluginFleet(
      catalog: catalog, directories: options.layout.pluginDirectories, configuration: configuration, marks: marks,
      kept: kept, models: models, log: log,
      makeRecord: { name in
        PluginRecord(file: PluginHistoryFile.open(name, in: histories) { log.write(.warn, name, $0) })
      },
      makeContext: { fleet in
        SupervisorContext(
          dispatcher: dispatcher,
          runner: JobRunner(
            store: store, live: live, dispatcher: dispatcher, router: { [unowned fleet] in fleet.router }, clock: clock,
            blame: blame, inputs: inputs, residency: residency, log: log),
          spawner: ProcessSpawner(leftovers: leftovers), clock: clock, log: log,
          launch: launch,
          devices: board, residency: residency, modelEngine: { models.catalogue.entry($0)?.engine },
          claimModel: { try? models.acquireUse($0) },
          restart: RestartPolicy.Settings(configuration.restart))
      },
      onChange: { fleet in
        dispatcher.match()
        changes.notify()
        await Worker.refuseOrphans(fleet, dispatcher, intakeBox.withLock { $0 })
      })
    self.fleet = fleet
    intake = JobIntake(
      store: store, dispatcher: dispatcher, live: live, router: { [unowned fleet] in fleet.router },
      inputs: inputs, residency: residency, blame: blame, clock: clock, upkeep: upkeep)
    intakeBox.withLock { $0 = intake }
  }

  private static func modelCatalogue(_ options: WorkerOptions) throws -> ModelCatalogue {
    try ModelCatalogue.load(operatorFile: options.layout.modelsFile, environment: options.environment)
  }

  private static func report(_ report: OpenReport, _ log: HostLog) {
    if let kept = report.corruptedKept {
      log.write(
        .error, "host",
        "the job database was damaged (\(report.corruption ?? "unreadable")): it is kept as \(kept), and a new one is begun"
      )
    }
    let lost = report.requeued + report.failed + report.cancelled
    if lost > 0 {
      log.write(
        .warn, "host",
        "jobs that ran when the former life ended: \(report.requeued) back in line, \(report.failed) failed, \(report.cancelled) cancelled"
      )
    }
  }

  /// Jobs in line that only a quarantined plugin could serve would wait for ever: they fail, with the reason.
  private static func refuseOrphans(_ fleet: PluginFleet, _ dispatcher: Dispatcher, _ intake: JobIntake?) async {
    guard let intake else { return }
    let lanes = dispatcher.occupiedLanes.filter { !fleet.serves($0) }
    guard !lanes.isEmpty else { return }
    for member in fleet.members where member.supervisor == nil && !member.isDisabled && member.unsettled == nil {
      // A version on trial may be the one that serves in a moment.
      if member.trial?.state == .proving { continue }
      guard let manifest = member.entry.plugin?.manifest, let reason = member.outOfService else { continue }
      let stranded = Set(
        lanes.filter { ModelRouter.serves(manifest, $0.kind, $0.model, engine: fleet.modelEngine($0.model)) })
      await intake.refuse(where: { stranded.contains($0) }) { lane in
        "plugin \(manifest.name), the only one here that serves \(lane.model), is out of service: \(reason)"
      }
    }
  }

  /// Asks `run` to return: running jobs get a moment, then go back into line.
  package func requestStop() { stop.yield() }

  /// Runs until told to stop by a signal, by `requestStop`, or by cancellation.
  ///
  /// - Parameter ready: called once, when jobs are taken.
  /// - Throws: when the control socket cannot be served.
  package func run(ready: @escaping @Sendable () -> Void = {}) async throws {
    if options.isDaemon { HostHeap.giveBack() }
    await lookAtDevices()
    try await intake.restore()
    noteSizes()
    await fleet.rescan()
    defer { try? store.close() }
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await self.fleet.run() }
        group.addTask { await self.residency.run() }
        group.addTask { await self.keepUp() }
        group.addTask {
          if self.options.isDaemon { await self.preload() }
          await Nap().rest(nil)
        }
        group.addTask {
          await PluginWatcher(directories: self.options.layout.pluginDirectories.map(\.path), log: self.log).run {
            self.fleet.look()
          }
          await Nap().rest(nil)
        }
        for (coordinator, maxJobs) in options.coordinators {
          group.addTask { await self.serve(coordinator, maxJobs) }
        }
        if options.isDaemon {
          let signals = try TerminationSignals.stream()
          group.addTask {
            try await ControlServer(path: self.options.layout.socketPath, handler: WorkerControl(self)).run(
              ready: ready)
          }
          group.addTask {
            for await signal in signals {
              self.log.write(.info, "host", "received \(SignalNames.name(signal)), stopping")
              self.requestStop()
            }
          }
        } else {
          ready()
        }
        group.addTask { await self.waitForStop() }
        // Whoever returns first ends the rest.
        try await group.next()
        group.cancelAll()
      }
    }
    dispatcher.close()
    log.write(.info, "host", "stopped")
  }

  /// Returns when the worker may go: told to, and running jobs are done or have had their moment.
  private func waitForStop() async {
    var requests = stops.makeAsyncIterator()
    guard await requests.next() != nil else { return }
    dispatcher.setIntake(.draining)
    changes.notify()
    guard !live.running.isEmpty else { return }
    log.write(.info, "host", "waiting up to \(Worker.stopPatience.short) for \(live.running.count) running jobs")
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await Task.sleep(for: Worker.stopPatience) }
      group.addTask { await self.live.untilIdle() }
      group.addTask { [stops] in
        var again = stops.makeAsyncIterator()
        _ = await again.next()
      }
      await group.next()
      group.cancelAll()
    }
  }

  private func serve(_ coordinator: any Coordinator, _ maxJobs: Int) async {
    let desk = WorkerDesk(
      coordinator: coordinator.name, maxJobs: maxJobs, intake: intake, resources: resources, changes: changes
    ) { [fleet] in fleet.served }
    do {
      try await desk.restore()
      try await coordinator.run(desk)
      log.write(.info, coordinator.name, "has ended")
    } catch {
      // To return ends the worker: a coordinator that failed on a cancellation of its own must not.
      if Task.isCancelled { return }
      log.write(.error, coordinator.name, "has ended: \(error)")
    }
    await Nap().rest(nil)
  }

  /// Deadlines, delayed jobs, retention: sleeps until something is due.
  private func keepUp() async {
    var nextPrune = startedInstant
    while !Task.isCancelled {
      var rest: Duration?
      do {
        rest = try await intake.expire()
        let now = options.clock.now()
        if now >= nextPrune {
          while try await !store.prune().isEmpty {}
          nextPrune = now.advanced(by: .seconds(3600))
        }
      } catch {
        log.write(.error, "host", "upkeep of the job database failed: \(error)")
        rest = .seconds(60)
        // A pruning that failed is as due as before: without this it would be tried again at once, for ever.
        nextPrune = max(nextPrune, options.clock.now().advanced(by: .seconds(60)))
      }
      dispatcher.match()
      let now = options.clock.now()
      let uploads = inputs.uploads.expire()
      let due = [
        rest.map { now.advanced(by: $0) }, uploads.map { now.advanced(by: $0) }, dispatcher.nextRelease, nextPrune,
      ].compactMap { $0 }.min()
      await upkeep.rest(due.map { max(.milliseconds(1), now.duration(to: $0)) })
    }
  }
}

extension PluginFleet {
  /// Engine that the catalogue names for a model, if it does.
  func modelEngine(_ model: String) -> String? { models.catalogue.entry(model)?.engine }

  /// What is served now, by kind: literal ids and patterns of the plugins, and the catalogue's models that are here.
  package var served: [JobKind: [String]] {
    var out: [JobKind: Set<String>] = [:]
    let ready = models.list().filter { $0.state == .ready || $0.state == .unverified }
    for member in members {
      guard let manifest = member.supervisor?.plugin.manifest else { continue }
      for service in manifest.serves {
        out[service.kind, default: []].formUnion(service.models.map(\.text))
        guard let engine = service.modelEngine else { continue }
        out[service.kind]?.formUnion(ready.filter { $0.engine == engine && $0.kind == service.kind }.map(\.id))
      }
    }
    return out.mapValues { $0.sorted() }
  }
}

extension RestartPolicy.Settings {
  init(_ configuration: RestartConfiguration) {
    self.init()
    firstDelay = configuration.firstDelay
    longestDelay = configuration.maxDelay
    goodLife = configuration.resetAfter
    quarantineDeaths = configuration.quarantineFailures
    quarantineWindow = configuration.quarantineWindow
  }
}
