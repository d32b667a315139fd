import Glibc
import PluginProtocol

/// The worker's state as JSON: what `stoker status` and `stoker plugins` show.
struct WorkerReport {
  let worker: Worker

  init(_ worker: Worker) { self.worker = worker }

  var status: JSONValue {
    let counts = worker.store.counts
    var jobs: [String: JSONValue] = [:]
    for state in JobState.allCases { jobs[state.rawValue] = JSONValue(counts[state]) }
    let statistics = worker.store.statistics
    let now = worker.options.clock.now()
    let list = plugins
    var members: [String: JSONValue] = [
      "version": .string(worker.options.version), "pid": JSONValue(getpid()),
      "state": .string(worker.dispatcher.intake.rawValue),
      "startedAt": .string(Timestamp.text(milliseconds: worker.startedAt)),
      "uptimeSeconds": .double(worker.startedInstant.duration(to: now).inSeconds),
      "rssBytes": JSONValue(ProcessTable.residentBytes(getpid())),
      "cpuThreads": JSONValue(worker.options.configuration.resources.cpuThreads ?? worker.resources.cpuThreads),
      "memoryBytes": JSONValue(worker.resources.memoryBytes), "jobs": .object(jobs),
      "coordinators": .array(
        [["name": "local", "state": "serving"]]
          + worker.options.coordinators.map { ["name": .string($0.coordinator.name), "state": "running"] }),
      "sandbox": SandboxReport.kernel, "memory": worker.residency.memoryJSON,
      "devices": .array(
        worker.devices.snapshot.devices.map { device in
          .compact([
            "id": .string(device.id.description), "name": .string(device.name), "uuid": JSONValue(device.uuid),
            "memoryBytes": JSONValue(device.memoryBytes), "freeBytes": JSONValue(device.freeBytes),
          ])
        }),
      "store": [
        "commits": JSONValue(statistics.commits), "fsyncShare": .double(statistics.syncShare),
        "fsyncSeconds": .double(Double(statistics.syncNanoseconds) / 1e9),
      ],
      "home": .string(worker.options.layout.home ?? worker.options.layout.dataDirectory),
      "socket": .string(worker.options.layout.socketPath),
    ]
    let stranded = WaitReason(worker).stranded
    if !stranded.isEmpty { members["waiting"] = .array(stranded) }
    if case .object(let lists) = list { members.merge(lists) { own, _ in own } }
    return .object(members)
  }

  var plugins: JSONValue {
    [
      "directories": .array(
        worker.options.layout.pluginDirectories.map { .string("\($0.path) (\($0.origin.rawValue))") }),
      "plugins": .array(worker.fleet.members.map(plugin)),
      "problems": .array(worker.fleet.diagnostics.map { .string($0.description) }),
    ]
  }

  func plugin(_ member: PluginFleet.Member) -> JSONValue {
    let record = member.record.snapshot
    let manifest = member.plugin?.manifest
    var kinds: [String] = []
    for service in manifest?.serves ?? [] where !kinds.contains(service.kind.rawValue) {
      kinds.append(service.kind.rawValue)
    }
    var problems: [JSONValue] = []
    if let sentence = member.trial?.sentence(serving: member.supervisor?.plugin.manifest.version) {
      problems = [.string(sentence)]
    } else if case .disabled(let reasons) = member.entry.state {
      problems = reasons.map { .string($0.description) }
    } else if let reason = member.outOfService {
      problems = [.string(reason)]
    }
    problems += member.entry.warnings.map { .string($0.description) }
    let now = worker.options.clock.now()
    let backoff = record.backoffUntil.map { max(0, now.duration(to: $0).inSeconds) }
    return .compact([
      "name": .string(member.entry.name), "version": JSONValue(manifest?.version),
      "summary": JSONValue(manifest?.summary), "state": .string(state(member, record)),
      "enabled": .bool(!member.isDisabled), "kinds": JSONValue(kinds),
      "serves": .array(
        (manifest?.serves ?? []).map {
          ["kind": .string($0.kind.rawValue), "models": JSONValue($0.models.map(\.text))]
        }),
      "directory": .string(member.entry.path), "source": .string(member.entry.source.origin.rawValue),
      "problems": .array(problems),
      "processes": .array(record.processes.sorted { $0.key < $1.key }.map { process($0.value, rules(member)) }),
      "restarts": JSONValue(record.counters.restarts), "backoffSeconds": JSONValue(backoff),
      "candidate": member.trial.map(candidate) ?? .null,
    ])
  }

  /// The version that lies in the plugin's directory while another one serves.
  private func candidate(_ trial: PluginTrial) -> JSONValue {
    let reason: String? = if case .turnedDown(let reason) = trial.state { reason } else { nil }
    return .compact([
      "version": JSONValue(trial.plugin?.manifest.version), "state": reason == nil ? "starting" : "failed",
      "reason": JSONValue(reason),
    ])
  }

  private func rules(_ member: PluginFleet.Member) -> SandboxRules? {
    member.entry.plugin.map { worker.factory.sandboxRules($0, devices: .cpu) }
  }

  private func process(_ process: PluginRecord.Process, _ rules: SandboxRules?) -> JSONValue {
    let state = process.state == .ready && !process.jobs.isEmpty ? "busy" : process.state.rawValue
    return .compact([
      "pid": JSONValue(process.pid), "state": .string(state), "version": .string(process.version),
      "startedAt": .string(Timestamp.text(milliseconds: process.startedAt)), "jobs": JSONValue(process.jobs),
      "models": JSONValue(process.models()), "devices": JSONValue(process.devices),
      "sandbox": SandboxReport.process(
        process.sandbox, allowsNetwork: rules?.allowsNetwork == true, isOff: rules?.mode == .off),
      "rssBytes": process.pid.map { JSONValue(ProcessTable.residentBytes($0)) } ?? .null,
    ])
  }

  private func state(_ member: PluginFleet.Member, _ record: PluginRecord.State) -> String {
    if member.plugin == nil { return member.unsettled != nil ? "settling" : "invalid" }
    if member.isQuarantined { return "quarantined" }
    if member.supervisor == nil {
      return member.isDisabled ? "disabled" : member.unsettled != nil ? "settling" : "invalid"
    }
    let states = record.processes.values
    if states.contains(where: { $0.state == .ready && !$0.jobs.isEmpty }) { return "busy" }
    if states.contains(where: { $0.state == .ready }) { return "ready" }
    if states.contains(where: { $0.state == .starting }) { return "starting" }
    if states.contains(where: { $0.state == .stopping }) { return "stopping" }
    return record.backoffUntil == nil ? "idle" : "backoff"
  }

  func inspect(_ member: PluginFleet.Member) throws -> JSONValue {
    let record = member.record.snapshot
    let plugin = member.plugin
    var shown = self.plugin(member)
    if let hash = try? plugin?.contentHash(), case .object(var members) = shown {
      members["contentHash"] = .string(hash)
      shown = .object(members)
    }
    let settings = worker.options.configuration.plugin(member.entry.name).settings
    let config: JSONValue? = try plugin.map { plugin in
      do {
        return try PluginSettings.resolve(
          manifest: plugin.manifest, values: settings, file: worker.options.layout.configFile)
      } catch {
        throw RPCError(control: .badInput, "\(error)")
      }
    }
    return .compact([
      "plugin": shown, "manifest": plugin?.manifest.json ?? .null, "config": config ?? .null,
      "sandbox": rules(member).map(SandboxReport.rules) ?? .null,
      "counters": record.total.json, "history": .array(record.history.map(\.json)),
      "stderr": JSONValue(record.stderr),
    ])
  }
}

extension PluginRecord.Event {
  fileprivate var json: JSONValue {
    .compact([
      "at": .string(Timestamp.text(milliseconds: at)), "event": .string(what), "detail": .string(detail),
      "pid": JSONValue(pid), "evidence": evidence ?? .null,
    ])
  }
}
