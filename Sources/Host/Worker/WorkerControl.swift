import PluginProtocol

/// Answers the control socket: the worker as `stoker` shows it.
package struct WorkerControl: ControlHandler {
  let worker: Worker

  package init(_ worker: Worker) { self.worker = worker }

  package func handle(_ method: String, _ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    do {
      return try await answer(method, params.isNull ? [:] : params, events)
    } catch let error as FieldError {
      throw RPCError(control: .badInput, error.description)
    } catch let error as JobStoreError {
      throw RPCError(error)
    }
  }

  private func answer(_ method: String, _ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    switch method {
    case "status": return WorkerReport(worker).status
    case "plugins/list": return WorkerReport(worker).plugins
    case "plugins/inspect": return try inspect(params)
    case "plugins/restart", "plugins/enable", "plugins/disable", "plugins/look":
      return try await PluginControl(worker).answer(method, params)
    case "plugins/quarantine/list":
      return ["quarantined": .array(worker.fleet.quarantines.map(\.json))]
    case "plugins/quarantine/lift":
      let lifted = try await worker.fleet.lift(try FieldReader(params).requiredString("plugin"))
      return ["lifted": .array(lifted.map(\.json))]
    case "jobs/submit": return try await submit(params)
    case "jobs/list": return try await list(params)
    case "jobs/get": return ["job": shown(try await worker.store.job(try jobID(params)))]
    case "jobs/cancel": return try await cancel(params)
    case "jobs/watch": return try await watch(params, events)
    case "models/residency":
      return ["models": .array(worker.residency.residentsJSON), "memory": worker.residency.memoryJSON]
    case "models/load": return try await load(params)
    case "models/unload":
      let count = try await worker.unload(try FieldReader(params).requiredString("model"))
      return ["unloaded": JSONValue(count)]
    case "input/begin", "input/data", "input/end":
      return try await worker.inputs.uploads.answer(method, params, connection: events.connection)
    case "pause": return setIntake(.paused)
    case "resume": return setIntake(.open)
    case "drain": return try await drain(params, events)
    case "logs": return try await logs(params, events)
    case "shutdown":
      worker.requestStop()
      return [:]
    default:
      throw RPCError(
        code: RPCError.methodNotFoundCode,
        message: "this worker (\(worker.options.version)) does not know \(method): restart it after an update")
    }
  }

  package func ended(_ connection: ControlConnectionID) async { worker.inputs.uploads.ended(connection) }

  private func load(_ params: JSONValue) async throws -> JSONValue {
    let fields = try FieldReader(params)
    let keepAlive = try fields.double("keepAliveSeconds")
    if let keepAlive, !(keepAlive >= 0 && keepAlive <= 86_400 * 365) {
      throw RPCError(control: .badInput, "keepAliveSeconds must be between 0 and a year")
    }
    try await worker.load(
      try fields.requiredString("model"), pin: try fields.bool("pin"),
      keepAlive: keepAlive.map { .milliseconds(Int64($0 * 1000)) })
    return [:]
  }

  // MARK: Plugins

  private func inspect(_ params: JSONValue) throws -> JSONValue {
    let name = try FieldReader(params).requiredString("name")
    return try WorkerReport(worker).inspect(try worker.fleet.known(name))
  }

  // MARK: Jobs

  private func jobID(_ params: JSONValue) throws -> JobID {
    let text = try FieldReader(params).requiredString("id")
    guard let id = JobID(text) else {
      throw RPCError(control: .badInput, "\(text.prefix(64)) is not a job's id; see `stoker jobs`")
    }
    return id
  }

  private func shown(_ job: Job) -> JSONValue { shown(job, WaitReason(worker)) }

  private func shown(_ job: Job, _ waits: WaitReason) -> JSONValue {
    guard case .object(var members) = job.json else { return job.json }
    if job.state == .running, let progress = worker.live.progress(job.id), case .object(var shown) = progress.json {
      shown["jobId"] = nil
      members["progress"] = .object(shown)
    } else if job.state == .running, let loading = worker.live.loading(job.id) {
      members["progress"] = .compact([
        "stage": .string("loading \(loading.model)"), "fraction": JSONValue(loading.fraction),
      ])
    } else if job.state == .queued, let model = job.model {
      let reason = waits.text(job.id, JobLane(kind: job.kind, model: model))
      members["waitsFor"] = reason.map(JSONValue.string)
    }
    return .object(members)
  }

  private func submit(_ params: JSONValue) async throws -> JSONValue {
    let fields = try FieldReader(params)
    let kindName = try fields.requiredString("kind")
    let kind: JobKind
    do {
      kind = try JobKind(named: kindName)
    } catch {
      throw RPCError(control: .unknownKind, error.description)
    }
    var labels: [String: String] = [:]
    for (key, value) in try fields.object("labels")?.object ?? [:] {
      guard let text = value.string else { throw RPCError(control: .badInput, "labels.\(key) must be a string") }
      labels[key] = text
    }
    var task = try await worker.inputs.task(of: fields).object ?? [:]
    task["kind"] = nil  // Some callers repeat the kind inside, as the studio's tasks do.
    let result = try await worker.intake.submit(
      JobRequest(
        kind: kind, model: try fields.string("model"), task: .object(task), priority: try fields.int("priority") ?? 0,
        deadlineSeconds: try fields.double("deadlineSeconds"), idempotencyKey: try fields.string("idempotencyKey"),
        labels: labels))
    let existing = if case .existing = result { true } else { false }
    return ["job": shown(try await worker.store.job(result.id)), "existing": .bool(existing)]
  }

  private func list(_ params: JSONValue) async throws -> JSONValue {
    let fields = try FieldReader(params)
    var filter = JobFilter()
    if let name = try fields.string("state") {
      guard let state = JobState(rawValue: name) else {
        let names = JobState.allCases.map(\.rawValue).joined(separator: ", ")
        throw RPCError(control: .badInput, "unknown state \(name); use one of \(names)")
      }
      filter.state = state
    }
    if let name = try fields.string("kind") {
      do {
        filter.kind = try JobKind(named: name)
      } catch {
        throw RPCError(control: .unknownKind, error.description)
      }
    }
    if let text = try fields.string("before") {
      guard let id = JobID(text) else { throw RPCError(control: .badInput, "before: \(text) is not a job's id") }
      filter.before = id
    }
    if let limit = try fields.int("limit") { filter.limit = min(max(1, limit), 1000) }
    let jobs = try await worker.store.jobs(filter)
    let waits = WaitReason(worker)
    return ["jobs": .array(jobs.map { shown($0, waits) })]
  }

  private func cancel(_ params: JSONValue) async throws -> JSONValue {
    let id = try jobID(params)
    let outcome =
      switch try await worker.intake.cancel(id) {
      case .cancelled: "cancelled"
      case .requested: "requested"
      case .alreadyFinished: "finished"
      }
    return ["job": shown(try await worker.store.job(id)), "outcome": .string(outcome)]
  }

  private func watch(_ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    let id = try jobID(params)
    let chunks = try FieldReader(params).bool("chunks") ?? false
    let store = worker.store
    var first: Job?
    try await worker.live.watch(
      id, chunks: chunks,
      settled: {
        // Read once the watch is in place: what happens afterwards comes as an event.
        let job = try await store.job(id)
        first = job
        await events.send([
          "type": "state", "state": .string(job.state.rawValue), "attempt": JSONValue(job.attempts.count),
        ])
        return job.state.isTerminal ? job.state : nil
      },
      { event in
        await events.send(event.json)
        return true
      })
    if let first, first.state.isTerminal { return ["job": shown(first)] }
    return ["job": shown(try await store.job(id))]
  }

  // MARK: The worker

  private func setIntake(_ intake: Intake) -> JSONValue {
    worker.dispatcher.setIntake(intake)
    worker.changes.notify()
    worker.log.write(.info, "host", "is \(intake.rawValue) by the operator's wish")
    return ["state": .string(intake.rawValue)]
  }

  private func drain(_ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    let limit = try FieldReader(params).double("timeoutSeconds")
    if let limit, !(limit > 0 && limit <= 86_400 * 7) {
      throw RPCError(control: .badInput, "timeoutSeconds must be above 0 and at most a week")
    }
    _ = setIntake(.draining)
    await events.send(["type": "progress", "running": JSONValue(worker.live.running.count)])
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await worker.live.untilIdle() }
      if let limit { group.addTask { try? await Task.sleep(for: .milliseconds(Int64(limit * 1000))) } }
      await group.next()
      group.cancelAll()
    }
    return ["state": .string(worker.dispatcher.intake.rawValue), "running": JSONValue(worker.live.running.count)]
  }

  private func logs(_ params: JSONValue, _ events: ControlEvents) async throws -> JSONValue {
    let fields = try FieldReader(params)
    let lines = min(max(0, try fields.int("lines") ?? 100), HostLog.kept)
    let source = try fields.string("plugin")
    let job = try fields.string("job")
    let threshold = try fields.string("level").map { name in
      guard let level = LogLevel(rawValue: name) else {
        let names = LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
        throw RPCError(control: .badInput, "unknown level \(name); use one of \(names)")
      }
      return level
    }
    let matches: @Sendable (LogRecord) -> Bool = { record in
      (source == nil || record.source == source) && (job == nil || record.job == job)
        && (threshold.map { record.level >= $0 } ?? true)
    }
    func send(_ record: LogRecord) async {
      guard matches(record), case .object(var members) = record.json else { return }
      members["type"] = "log"
      await events.send(.object(members))
    }
    if try fields.bool("follow") ?? false {
      for await record in worker.log.follow(lines) { await send(record) }
    } else {
      for record in worker.log.recent(HostLog.kept).filter(matches).suffix(lines) { await send(record) }
    }
    return [:]
  }
}

extension LiveEvent {
  /// The event as `jobs/watch` sends it.
  var json: JSONValue {
    switch self {
    case .running(let attempt): return ["type": "state", "state": "running", "attempt": JSONValue(attempt)]
    case .loading(let model, let fraction):
      return [
        "type": "progress",
        "loading": .compact(["model": .string(model), "fraction": JSONValue(fraction)]),
      ]
    case .progress(let progress):
      guard case .object(var members) = progress.json else { return ["type": "progress"] }
      members["jobId"] = nil
      return ["type": "progress", "progress": .object(members)]
    case .chunk(let chunk):
      return .compact([
        "type": "chunk", "seq": JSONValue(chunk.seq), "text": JSONValue(chunk.text), "data": chunk.data ?? .null,
      ])
    case .restart(let attempt): return ["type": "restart", "attempt": JSONValue(attempt)]
    case .gap: return ["type": "note", "message": "earlier chunks are not kept any more"]
    case .finished(let state): return ["type": "state", "state": .string(state.rawValue)]
    }
  }
}
