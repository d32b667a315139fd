import PluginProtocol
import Synchronization

/// All plugins of the worker: which exist, which are in service, and the supervisors that run them.
///
/// A plugin that has started well and changes on disk goes on in its old version until the new one has been started on
/// trial; one that fails then is turned down, and the old one serves on, from a copy of its files if need be.
package final class PluginFleet: Sendable {
  /// A plugin as the fleet knows it.
  package struct Member: Sendable {
    /// What lies in its directory.
    package var entry: CatalogEntry
    package var record: PluginRecord
    /// The supervisor while the plugin is in service; of an earlier version than `entry` while that is on trial, or
    /// was turned down.
    package var supervisor: PluginSupervisor?
    /// Why it is not; nil while it is.
    package var outOfService: String?
    package var isQuarantined = false
    package var isDisabled = false
    /// Whether a process of the version in service has become ready in this life of the worker.
    var wasReady = false
    /// What lies in its directory, when that is not in service.
    package var trial: PluginTrial?
    /// Whether `entry` has been decided about, and not only seen.
    var isJudged = false
    /// What the directory was like at the last look, when it was still being written.
    var unsettled: TreeStamp?
    /// What it was like when its version was put on trial, turned down or quarantined.
    var refused: TreeStamp?
    /// How often that version has been turned down, and when it may be tried again by itself.
    var refusals = 0
    var retryAt: ContinuousClock.Instant?
    /// SHA-256 of what lies in its directory; nil when nobody had to know.
    var contentHash: String?

    /// The version in service, else the one in its directory.
    package var plugin: Plugin? { supervisor?.plugin ?? entry.plugin }
  }

  struct State {
    var members: [String: Member] = [:]
    var order: [String] = []
    var diagnostics: [SourceDiagnostic] = []
    /// Supervisors that run, those that are leaving included.
    var living: [ObjectIdentifier: PluginSupervisor] = [:]
    var hasLooked = false
    /// Plugins of which the next look knows that they are whole.
    var whole: Set<String> = []
    var nextTrial = 0
    /// Those who wait for the next whole look.
    var lookers: [Nap] = []
    /// Those who wait for the end of a trial, by plugin.
    var trialWaiters: [String: [Nap]] = [:]
    /// When the directories are looked at again without a sign from them.
    var nextLook: Duration?
  }

  /// What the fleet does beside looking.
  enum Work: Sendable {
    case supervise(PluginSupervisor)
    case prove(PluginTrial, PluginRecord)
    case keep(Plugin)
    case drain(PluginSupervisor, Set<Dispatcher.Place>, Duration, DrainTicket)
  }

  /// Time between two looks at a directory that is being written.
  static let settle: Duration = .milliseconds(600)
  /// What was turned down is looked at again after this, each time twice as long.
  static let firstPause: Duration = .milliseconds(500)
  static let longestPause: Duration = .seconds(60)

  let state = Mutex(State())
  let catalog: PluginCatalog
  let directories: [PluginDirectory]
  let configuration: HostConfiguration
  let marks: PluginMarks
  /// Earlier versions; nil for a worker that ends with one command.
  let kept: KeptVersions?
  let log: HostLog
  let models: ModelStore
  private let makeContext: @Sendable (PluginFleet) -> SupervisorContext
  private let makeRecord: @Sendable (_ name: String) -> PluginRecord
  let onChange: @Sendable (PluginFleet) async -> Void
  private let tasks: AsyncStream<Work>
  let task: AsyncStream<Work>.Continuation
  let looking = Nap()

  package init(
    catalog: PluginCatalog, directories: [PluginDirectory], configuration: HostConfiguration, marks: PluginMarks,
    kept: KeptVersions?, models: ModelStore, log: HostLog,
    makeRecord: @escaping @Sendable (_ name: String) -> PluginRecord,
    makeContext: @escaping @Sendable (PluginFleet) -> SupervisorContext,
    onChange: @escaping @Sendable (PluginFleet) async -> Void
  ) {
    self.catalog = catalog
    self.directories = directories
    self.configuration = configuration
    self.marks = marks
    self.kept = kept
    self.models = models
    self.log = log
    self.makeRecord = makeRecord
    self.makeContext = makeContext
    self.onChange = onChange
    (tasks, task) = AsyncStream.makeStream(of: Work.self)
  }

  /// Runs the supervisors and looks at the directories when asked to, until the task is cancelled.
  package func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.lookWhenAsked() }
      for await work in tasks { group.addTask { await self.perform(work) } }
    }
  }

  private func perform(_ work: Work) async {
    switch work {
    case .supervise(let supervisor):
      let outcome = await supervisor.run()
      await left(supervisor, outcome)
    case .prove(let trial, let record): await prove(trial, record)
    case .keep(let plugin): await keep(plugin)
    case .drain(let supervisor, let places, let grace, let ticket):
      ticket.finish(await supervisor.drain(places, grace: grace))
    }
  }

  // MARK: Views

  /// Members in order of precedence.
  package var members: [Member] { state.withLock { state in state.order.compactMap { state.members[$0] } } }
  /// Remarks about the search directories.
  package var diagnostics: [SourceDiagnostic] { state.withLock { $0.diagnostics } }
  package func member(_ name: String) -> Member? { state.withLock { $0.members[name] } }

  /// Decides routes by the plugins that are in service now.
  package var router: ModelRouter {
    let members = members
    return ModelRouter(
      plugins: members.compactMap { $0.supervisor?.plugin.manifest },
      unavailable: members.compactMap { member in
        guard member.supervisor == nil, let manifest = member.entry.plugin?.manifest else { return nil }
        return (manifest, member.outOfService ?? "it is not in service")
      }, models: models)
  }

  /// Whether anybody in service serves the lane.
  package func serves(_ lane: JobLane) -> Bool {
    let engine = models.catalogue.entry(lane.model)?.engine
    return members.contains { member in
      guard let manifest = member.supervisor?.plugin.manifest else { return false }
      return ModelRouter.serves(manifest, lane.kind, lane.model, engine: engine)
    }
  }

  // MARK: Supervisors

  /// What supervisors and trials need, with the fleet's say in which files are started.
  var context: SupervisorContext {
    var context = makeContext(self)
    let launch = context.launch
    context.launch = { [weak self] plugin, slot, devices in
      try launch(self?.startable(plugin) ?? plugin, slot, devices)
    }
    context.life.becameReady = { [weak self] in self?.becameReady($0) }
    context.life.startFailed = { [weak self] in self?.startFailed($0, $1) ?? false }
    return context
  }

  /// Records of plugins that are new here. Reads files.
  func records(of names: [String]) -> [String: PluginRecord] {
    let known = state.withLock { Set($0.members.keys) }
    return Set(names).subtracting(known).reduce(into: [:]) { $0[$1] = makeRecord($1) }
  }

  func supervise(_ plugin: Plugin, _ record: PluginRecord, _ context: SupervisorContext) -> PluginSupervisor {
    PluginSupervisor(
      plugin: plugin, record: record, preload: configuration.plugin(plugin.name).preload, context: context)
  }

  /// Lets a supervisor that a member has got begin.
  func begin(_ supervisor: PluginSupervisor) {
    state.withLock { $0.living[ObjectIdentifier(supervisor)] = supervisor }
    task.yield(.supervise(supervisor))
  }

  /// A supervisor has returned.
  private func left(_ supervisor: PluginSupervisor, _ outcome: PluginSupervisor.Outcome) async {
    let plugin = supervisor.plugin
    state.withLock { _ = $0.living.removeValue(forKey: ObjectIdentifier(supervisor)) }
    kept?.prune(plugin.name, inUse: living(plugin.name))
    // A copy that could not be made while somebody ran from the one in its place.
    if let member = member(plugin.name), member.wasReady, let serving = member.supervisor, serving !== supervisor {
      task.yield(.keep(serving.plugin))
    }
    sweepTrash(plugin.name)
    let reason: String
    var stamp: TreeStamp?
    switch outcome {
    case .retired: return
    case .rejected(let text):
      if await rollBack(supervisor, text) { return }
      reason = text
    case .unusable(let text):
      if isNeverReady(supervisor), await rollBack(supervisor, text) { return }
      reason = text
    case .quarantined(let text):
      // One that no longer serves says nothing of the version that does.
      guard let member = member(plugin.name), member.supervisor === supervisor else { return }
      reason = quarantined(plugin.name, text)
      stamp = TreeStamp(of: member.entry.path)
      do {
        try marks.setQuarantine(
          try hashOfWhatRan(plugin),
          PluginMarks.Quarantine(
            name: plugin.name, reason: text, at: Timestamp.now(),
            evidence: supervisor.record.snapshot.lastEvidence?.evidence))
      } catch {
        log.write(.error, plugin.name, "the quarantine holds until the next start only: \(error)")
      }
    }
    if case .quarantined(let text) = outcome {
      supervisor.record.note("quarantined", text)
    } else {
      supervisor.record.note("out of service", reason)
    }
    state.withLock { state in
      guard var member = state.members[plugin.name], member.supervisor === supervisor else { return }
      member.supervisor = nil
      member.wasReady = false
      member.outOfService = reason
      if case .quarantined = outcome {
        member.isQuarantined = true
        member.refuse(stamp)
      }
      state.members[plugin.name] = member
    }
    await onChange(self)
  }

  /// Plugins of a name that processes may still run from.
  func living(_ name: String) -> [Plugin] {
    state.withLock { $0.living.values.map(\.plugin).filter { $0.name == name } }
  }

  /// The content hash of a version that need not lie in its directory by now.
  private func hashOfWhatRan(_ plugin: Plugin) throws -> String {
    if let version = kept?.version(plugin.name), version.origin == plugin.fingerprint { return version.contentHash }
    guard catalog.read(plugin.directory, source: plugin.source).plugin?.fingerprint == plugin.fingerprint else {
      throw ArchiveError("its files have changed since it was started")
    }
    return try plugin.contentHash()
  }

  func quarantined(_ name: String, _ reason: String) -> String {
    "it is quarantined: \(reason); see `stoker plugins inspect \(name)`, put the cause right, "
      + "then `stoker plugins quarantine lift \(name)`"
  }
}

/// The end of a drain, for who asked for it and may have gone.
final class DrainTicket: Sendable {
  private let stream: AsyncStream<PluginSupervisor.Drained>
  private let feed: AsyncStream<PluginSupervisor.Drained>.Continuation

  init() { (stream, feed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

  func finish(_ drained: PluginSupervisor.Drained) {
    feed.yield(drained)
    feed.finish()
  }

  /// Nil when nobody waits any more, or the worker ends.
  func end() async -> PluginSupervisor.Drained? {
    for await drained in stream { return drained }
    return nil
  }
}
