import PluginProtocol

/// Answers what the control socket asks of the plugins' life.
struct PluginControl {
  /// Time that running jobs get when nobody says how much.
  static let grace: Duration = .seconds(30)

  let worker: Worker

  init(_ worker: Worker) { self.worker = worker }

  func answer(_ method: String, _ params: JSONValue) async throws -> JSONValue {
    let fields = try FieldReader(params)
    let name = try fields.requiredString("name")
    let grace = try grace(fields)
    let waits = try fields.bool("wait") ?? true
    let fleet = worker.fleet
    switch method {
    case "plugins/restart": return try shown(name, try await fleet.restart(name, grace: grace, waits: waits))
    case "plugins/disable": return try shown(name, try await fleet.disable(name, grace: grace, waits: waits))
    case "plugins/enable":
      try await fleet.enable(name)
      return try shown(name, nil)
    default:
      await fleet.look(whole: name)
      // What has been replaced or removed: those who wait for it may want to delete its files.
      let drained = try fields.bool("drain") == true ? await fleet.drain(leaving: name, grace: grace) : nil
      return .compact([
        "plugin": fleet.member(name).map(WorkerReport(worker).plugin) ?? .null, "drained": json(drained),
        "leaving": JSONValue(fleet.leaving(name).count),
      ])
    }
  }

  /// `graceSeconds`, 0 to a day; `PluginControl.grace` without.
  private func grace(_ fields: FieldReader) throws -> Duration {
    guard let seconds = try fields.double("graceSeconds") else { return PluginControl.grace }
    guard seconds >= 0, seconds <= 86_400 else {
      throw RPCError(control: .badInput, "graceSeconds must be between 0 and a day")
    }
    return .milliseconds(Int64(seconds * 1000))
  }

  private func shown(_ name: String, _ drained: PluginSupervisor.Drained?) throws -> JSONValue {
    .compact(["plugin": WorkerReport(worker).plugin(try worker.fleet.known(name)), "drained": json(drained)])
  }

  private func json(_ drained: PluginSupervisor.Drained?) -> JSONValue {
    guard let drained else { return .null }
    return ["returnedJobs": JSONValue(drained.returned), "complete": .bool(drained.isComplete)]
  }
}
