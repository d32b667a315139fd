import PluginProtocol

/// The host's side of one conversation with one engine process: a state machine without I/O.
///
/// Feed it lines, commands, ticks and the end; do what it returns, in order. Instants come from a monotonic clock.
/// Whatever the engine does, each job that was begun gets exactly one `jobEnded`.
package struct EngineSession: Sendable {
  /// Successors: `new → starting → ready → closing → ended`; `ended` from any.
  package enum Phase: Sendable, Equatable {
    case new
    /// `initialize` was sent.
    case starting(until: MonotonicInstant)
    case ready
    /// `shutdown` was sent, or the process is being killed: nothing new is begun.
    case closing
    case ended
  }

  /// What has been counted, for `status`.
  package struct Counters: Sendable, Equatable {
    package var noise = 0
    package var protocolErrors = 0
    package var unknown = 0
    package var late = 0
    package var droppedProgress = 0
    package var droppedLogs = 0
  }

  enum Pending: Sendable {
    case initialize
    case load(String)
    case unload(String)
    case run(String)
    case ping
    case shutdown
  }

  struct Load: Sendable {
    var stallAt: MonotonicInstant
    var maximumAt: MonotonicInstant
  }

  /// A job that waits until the engine has let go of one that was given up.
  struct Held: Sendable {
    var parameters: JobRunParameters
    var deadlineAt: MonotonicInstant?
    /// It must have the engine to itself.
    var isAlone = false
  }

  /// What the host has offered in `initialize`.
  struct Offer: Sendable {
    var versions = Method.protocolVersions
    var lineBytes = LineFramer.maximumLineBytes
  }

  package internal(set) var phase: Phase = .new
  package internal(set) var counters = Counters()
  package internal(set) var description: EngineDescription?
  /// Jobs and loads that the engine had in hand when the session ended; nil before.
  package internal(set) var inHandAtEnd: Int?
  package let limits: SessionLimits

  var nextRequest: Int64 = 1
  var pending: [Int64: Pending] = [:]
  var jobs: [String: SessionJob] = [:]
  var loads: [String: Load] = [:]
  /// In the order in which they came.
  var held: [Held] = []
  /// Requests that have a clock of their own, and what it means when that runs out.
  var due: [Int64: (at: MonotonicInstant, reason: KillReason)] = [:]
  var offer = Offer()
  var noiseBudget: RateBudget
  var errorBudget: RateBudget
  var logGate = LogGate()
  var lateBudget: RateBudget
  var actions: [SessionAction] = []

  package init(limits: SessionLimits) {
    self.limits = limits
    noiseBudget = RateBudget(limit: limits.noisePerMinute)
    errorBudget = RateBudget(limit: limits.protocolErrorsPerMinute)
    lateBudget = RateBudget(limit: limits.protocolErrorsPerMinute)
  }

  /// Jobs that the engine has not let go of yet.
  package var jobsInFlight: Int { jobs.count }

  /// The next instant at which `tick` has something to do.
  package var nextDeadline: MonotonicInstant? {
    var next: MonotonicInstant?
    func consider(_ instant: MonotonicInstant) { next = next.map { min($0, instant) } ?? instant }
    if case .starting(let until) = phase { consider(until) }
    guard phase != .ended else { return nil }
    for job in jobs.values { consider(job.due) }
    for load in loads.values { consider(min(load.stallAt, load.maximumAt)) }
    for job in held { if let deadline = job.deadlineAt { consider(deadline) } }
    for request in due.values { consider(request.at) }
    return next
  }

  mutating func take() -> [SessionAction] {
    defer { actions.removeAll(keepingCapacity: true) }
    return actions
  }

  // MARK: Commands

  /// Begins the handshake.
  package mutating func start(_ parameters: InitializeParameters, now: MonotonicInstant) -> [SessionAction] {
    guard phase == .new else { return [] }
    phase = .starting(until: now.advanced(by: limits.initialize))
    offer = Offer(versions: parameters.protocolVersions, lineBytes: parameters.lineBytes)
    request(.initialize, Method.initialize, parameters.json)
    return take()
  }

  /// Begins a job. The caller keeps to the concurrency that the engine announced, and to ids that are not running.
  ///
  /// A job that was given up still has a place in the engine until the engine answers for it: what would not fit beside
  /// it, or is a new attempt at it, is held back until then; so is one that must be alone.
  package mutating func run(
    _ parameters: JobRunParameters, deadline: Duration?, isAlone: Bool = false, now: MonotonicInstant
  ) -> [SessionAction] {
    guard phase == .ready, jobs[parameters.jobID].map({ $0.isAbandoned }) ?? true else {
      return [.jobEnded(jobID: parameters.jobID, .lost(.notBegun("the engine takes no jobs any more")))]
    }
    var parameters = parameters
    parameters.credit = limits.chunkCredit
    let job = Held(parameters: parameters, deadlineAt: deadline.map { now.advanced(by: $0) }, isAlone: isAlone)
    if mustWait(job) { held.append(job) } else { begin(job, now: now) }
    return take()
  }

  func mustWait(_ job: Held) -> Bool {
    guard jobs.values.contains(where: \.isAbandoned) else { return false }
    return job.isAlone || jobs[job.parameters.jobID] != nil || jobs.count >= description?.concurrency ?? 1
  }

  mutating func begin(_ job: Held, now: MonotonicInstant) {
    let jobID = job.parameters.jobID
    let id = nextRequest
    let frame = Envelope.request(id: .number(id), method: Method.jobRun, params: job.parameters.json).frame
    let cap = description?.lineBytes ?? LineFramer.defaultLineBytes
    guard frame.count - 1 <= cap else {
      let refusal = RPCError(.badInput, "the task takes \(frame.count) bytes; one message holds at most \(cap)")
      actions.append(.jobEnded(jobID: jobID, .failed(refusal)))
      return
    }
    nextRequest += 1
    pending[id] = .run(jobID)
    jobs[jobID] = SessionJob(id: jobID, request: id, limits: limits, deadlineAt: job.deadlineAt, now: now)
    actions.append(.send(OutboundFrame(bytes: frame, startsJob: jobID)))
  }

  /// Begins what was held back, as far as there is room now.
  mutating func beginHeld(now: MonotonicInstant) {
    guard phase == .ready else { return }
    while let index = held.firstIndex(where: { !mustWait($0) }) {
      begin(held.remove(at: index), now: now)
    }
  }

  /// Asks the engine to stop a job. Any moment is fine, and any number of times.
  package mutating func cancel(jobID: String, now: MonotonicInstant) -> [SessionAction] {
    if let index = held.firstIndex(where: { $0.parameters.jobID == jobID }) {
      held.remove(at: index)
      actions.append(.jobEnded(jobID: jobID, .cancelled))
      return take()
    }
    guard var job = jobs[jobID], job.phase == .running else { return [] }
    job.phase = .cancelling(until: now.advanced(by: limits.cancelGrace))
    jobs[jobID] = job
    notify(Method.jobCancel, JobCancelParameters(jobID: jobID).json, urgent: true)
    return take()
  }

  /// The frame that would have begun a job was taken out of the queue before any of it was written.
  package mutating func withdrawn(jobID: String) -> [SessionAction] {
    end(jobID, .cancelled)
    return take()
  }

  /// The frame that would have begun a job could not be queued.
  package mutating func refused(jobID: String, _ error: RPCError) -> [SessionAction] {
    end(jobID, .failed(error))
    return take()
  }

  /// Lets the engine send chunks up to `through`.
  package mutating func credit(jobID: String, through: Int, now: MonotonicInstant) -> [SessionAction] {
    guard jobs[jobID]?.phase == .running, jobs[jobID]?.raise(creditTo: through, now: now) == true else { return [] }
    notify(Method.jobCredit, JobCreditParameters(jobID: jobID, through: through).json, urgent: true)
    return take()
  }

  /// Begins to load a model.
  package mutating func load(_ model: ModelReference, now: MonotonicInstant) -> [SessionAction] {
    guard phase == .ready else {
      return [.loadEnded(model: model.id, .failure(RPCError(.transient, "the engine is not ready")))]
    }
    loads[model.id] = Load(
      stallAt: now.advanced(by: limits.loadStall), maximumAt: now.advanced(by: limits.loadMaximum))
    request(.load(model.id), Method.modelLoad, ModelLoadParameters(model: model).json)
    return take()
  }

  /// Begins to give a model's memory back.
  package mutating func unload(model: String, now: MonotonicInstant) -> [SessionAction] {
    guard phase == .ready else {
      return [.unloadEnded(model: model, RPCError(.transient, "the engine is not ready"))]
    }
    due[nextRequest] = (now.advanced(by: limits.unload), .unloadStalled(model: model, limits.unload))
    request(.unload(model), Method.modelUnload, ModelUnloadParameters(id: model).json)
    return take()
  }

  /// Asks for a sign of life; an engine that gives none is killed.
  package mutating func ping(now: MonotonicInstant) -> [SessionAction] {
    guard phase == .ready else { return [] }
    due[nextRequest] = (now.advanced(by: limits.ping), .pingUnanswered(limits.ping))
    request(.ping, Method.ping, [:], urgent: true)
    return take()
  }

  /// Asks the engine to end.
  package mutating func shutdown() -> [SessionAction] {
    guard phase == .ready || phase.isStarting else { return [] }
    phase = .closing
    request(.shutdown, Method.shutdown, [:], urgent: true)
    return take()
  }

  // MARK: Input

  /// Takes what the framer made of the engine's stdout.
  package mutating func receive(_ event: LineFramer.Event, now: MonotonicInstant) -> [SessionAction] {
    guard phase != .ended else { return [] }
    switch event {
    case .line(let bytes): receive(line: bytes, now: now)
    case .overlong(let length, let prefix): receive(overlong: length, prefix, now: now)
    }
    return take()
  }

  /// Looks at the clocks.
  package mutating func tick(now: MonotonicInstant) -> [SessionAction] {
    if case .starting(let until) = phase, until <= now {
      kill(.startTimeout(limits.initialize))
      return take()
    }
    for (model, load) in loads {
      if load.stallAt <= now {
        kill(.loadStalled(model: model, limits.loadStall))
      } else if load.maximumAt <= now {
        kill(.loadTooLong(model: model, limits.loadMaximum))
      }
    }
    for request in due.values where request.at <= now { kill(request.reason) }
    for job in held where job.deadlineAt.map({ $0 <= now }) ?? false {
      held.removeAll { $0.parameters.jobID == job.parameters.jobID }
      actions.append(.jobEnded(jobID: job.parameters.jobID, .deadline))
    }
    for id in jobs.keys { tick(jobID: id, now: now) }
    return take()
  }

  /// The process is gone: everything that was open ends.
  package mutating func ended(_ diagnosis: String) -> [SessionAction] {
    finish { _ in .died(diagnosis) }
    return take()
  }

  /// The driver kills the process for a reason that it has seen itself (an unread stdin, a closed stdout).
  package mutating func abort(_ reason: KillReason) -> [SessionAction] {
    kill(reason)
    return take()
  }
}
