import PluginProtocol
import Synchronization

/// All plugins of the worker: which exist, which are in service, and the supervisors that run them.
package final class PluginFleet: Sendable {
  /// A plugin as the fleet knows it.
  package struct Member: Sendable {
    package var entry: CatalogEntry
    package var record: PluginRecord
    /// The supervisor while the plugin is in service.
    package var supervisor: PluginSupervisor?
    /// Why it is not; nil while it is.
    package var outOfService: String?
    package var isQuarantined = false
    package var isDisabled = false
  }

  private struct State {
    var members: [String: Member] = [:]
    var order: [String] = []
    var diagnostics: [SourceDiagnostic] = []
    var isRunning = false
  }

  private let state = Mutex(State())
  private let catalog: PluginCatalog
  private let directories: [PluginDirectory]
  private let configuration: HostConfiguration
  private let marks: PluginMarks
  private let log: HostLog
  let models: ModelStore
  private let makeContext: @Sendable (PluginFleet) -> SupervisorContext
  private let makeRecord: @Sendable (_ name: String) -> PluginRecord
  private let onChange: @Sendable (PluginFleet) async -> Void
  private let starts: AsyncStream<PluginSupervisor>
  private let start: AsyncStream<PluginSupervisor>.Continuation

  package init(
    catalog: PluginCatalog, directories: [PluginDirectory], configuration: HostConfiguration, marks: PluginMarks,
    models: ModelStore, log: HostLog, makeRecord: @escaping @Sendable (_ name: String) -> PluginRecord,
    makeContext: @escaping @Sendable (PluginFleet) -> SupervisorContext,
    onChange: @escaping @Sendable (PluginFleet) async -> Void
  ) {
    self.catalog = catalog
    self.directories = directories
    self.configuration = configuration
    self.marks = marks
    self.models = models
    self.log = log
    self.makeRecord = makeRecord
    self.makeContext = makeContext
    self.onChange = onChange
    (starts, start) = AsyncStream.makeStream(of: PluginSupervisor.self)
  }

  /// Runs the supervisors until the task is cancelled.
  package func run() async {
    await withDiscardingTaskGroup { group in
      for await supervisor in starts {
        group.addTask {
          let outcome = await supervisor.run()
          await self.left(supervisor, outcome)
        }
      }
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

  // MARK: Changes

  /// Looks at the plugin directories again, and brings what changed into or out of service.
  package func rescan() async {
    let snapshot = catalog.scan(directories)
    let context = makeContext(self)
    // Read from files: not under the lock.
    let records = records(of: snapshot.entries.map(\.name))
    var fresh: [PluginSupervisor] = []
    var retired: [PluginSupervisor] = []
    var notes: [(LogLevel, String, String)] = []
    state.withLock { state in
      var members: [String: Member] = [:]
      for entry in snapshot.entries where members[entry.name] == nil {
        let old = state.members[entry.name]
        if let old, old.entry == entry {
          members[entry.name] = old
          continue
        }
        if let supervisor = old?.supervisor { retired.append(supervisor) }
        var member = Member(entry: entry, record: old?.record ?? records[entry.name] ?? PluginRecord())
        judge(&member)
        if let plugin = entry.plugin, member.outOfService == nil {
          let supervisor = supervise(plugin, member.record, context)
          member.supervisor = supervisor
          fresh.append(supervisor)
          notes.append((.info, entry.name, old == nil ? "in service" : "changed: the new version is in service"))
        } else {
          notes.append((.warn, entry.name, "out of service: \(member.outOfService ?? "")"))
        }
        members[entry.name] = member
      }
      for (name, old) in state.members where members[name] == nil {
        if let supervisor = old.supervisor { retired.append(supervisor) }
        notes.append((.info, name, "removed"))
      }
      state.members = members
      state.order = snapshot.entries.map(\.name).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
      state.diagnostics = snapshot.diagnostics
    }
    for supervisor in retired { supervisor.retire() }
    for supervisor in fresh { start.yield(supervisor) }
    for (level, name, text) in notes { log.write(level, name, text) }
    if !notes.isEmpty { await onChange(self) }
  }

  /// Records of plugins that are new here.
  private func records(of names: [String]) -> [String: PluginRecord] {
    let known = state.withLock { Set($0.members.keys) }
    return Set(names).subtracting(known).reduce(into: [:]) { $0[$1] = makeRecord($1) }
  }

  /// Fills in why a plugin is out of service, if it is.
  private func judge(_ member: inout Member) {
    guard let plugin = member.entry.plugin else {
      if case .disabled(let reasons) = member.entry.state {
        member.outOfService = reasons.map(\.description).joined(separator: "; ")
      }
      return
    }
    if !configuration.plugin(plugin.name).enabled {
      member.outOfService = "it is switched off in the configuration (plugins.\(plugin.name).enabled)"
      member.isDisabled = true
    } else if marks.isDisabled(plugin.name) {
      member.outOfService = "it is switched off; switch it on with `stoker plugins enable \(plugin.name)`"
      member.isDisabled = true
    } else if marks.hasQuarantines, let hash = try? plugin.contentHash(), let mark = marks.quarantine(hash) {
      member.outOfService = quarantined(plugin.name, mark.reason)
      member.isQuarantined = true
    }
  }

  private func quarantined(_ name: String, _ reason: String) -> String {
    "it is quarantined: \(reason); see `stoker plugins inspect \(name)`, put the cause right, then `stoker plugins quarantine lift \(name)`"
  }

  private func supervise(_ plugin: Plugin, _ record: PluginRecord, _ context: SupervisorContext) -> PluginSupervisor {
    PluginSupervisor(
      plugin: plugin, record: record, preload: configuration.plugin(plugin.name).preload, context: context)
  }

  /// A supervisor has returned.
  private func left(_ supervisor: PluginSupervisor, _ outcome: PluginSupervisor.Outcome) async {
    let reason: String
    switch outcome {
    case .retired: return
    case .unusable(let text): reason = text
    case .quarantined(let text):
      reason = quarantined(supervisor.plugin.name, text)
      do {
        let hash = try supervisor.plugin.contentHash()
        try marks.setQuarantine(
          hash,
          PluginMarks.Quarantine(
            name: supervisor.plugin.name, reason: text, at: Timestamp.now(),
            evidence: supervisor.record.snapshot.lastEvidence?.evidence))
      } catch {
        log.write(.error, supervisor.plugin.name, "the quarantine holds until the next start only: \(error)")
      }
    }
    if case .quarantined(let text) = outcome {
      supervisor.record.note("quarantined", text)
    } else {
      supervisor.record.note("out of service", reason)
    }
    state.withLock { state in
      guard var member = state.members[supervisor.plugin.name], member.supervisor === supervisor else { return }
      member.supervisor = nil
      member.outOfService = reason
      if case .quarantined = outcome { member.isQuarantined = true }
      state.members[supervisor.plugin.name] = member
    }
    await onChange(self)
  }

  // MARK: By hand

  /// Restarts a plugin's processes; jobs on them end first.
  package func restart(_ name: String) async throws(RPCError) {
    let member = try known(name)
    // A restart by hand says that the cause has been put right.
    if member.isQuarantined { return try await enable(name) }
    guard let supervisor = member.supervisor else {
      throw RPCError(control: .conflict, "plugin \(name) is out of service: \(member.outOfService ?? "")")
    }
    supervisor.restart()
  }

  /// Switches a plugin off. Its running jobs end first.
  package func disable(_ name: String) async throws(RPCError) {
    _ = try known(name)
    try store { try marks.setDisabled(name, true) }
    let supervisor: PluginSupervisor? = state.withLock { state in
      guard var member = state.members[name] else { return nil }
      let old = member.supervisor
      member.supervisor = nil
      judge(&member)
      state.members[name] = member
      return old
    }
    supervisor?.retire()
    log.write(.info, name, "switched off by the operator")
    member(name)?.record.note("disabled", "by the operator")
    await onChange(self)
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
    let context = makeContext(self)
    let fresh: PluginSupervisor? = state.withLock { state in
      guard var member = state.members[name], member.supervisor == nil else { return nil }
      member.outOfService = nil
      member.isQuarantined = false
      member.isDisabled = false
      judge(&member)
      if let plugin = member.entry.plugin, member.outOfService == nil {
        member.supervisor = supervise(plugin, member.record, context)
      }
      state.members[name] = member
      return member.supervisor
    }
    if let fresh {
      start.yield(fresh)
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
