import PluginProtocol

/// What an engine's thread and its callers share, under one lock: the session, the queue, who waits for what.
struct EngineCore {
  typealias JobWaiter = (sink: JobSink, continuation: CheckedContinuation<EngineJobEnd, Never>)
  typealias LoadWaiter = (
    progress: @Sendable (ModelProgress) -> Void,
    continuation: CheckedContinuation<Result<ModelLoadResult, RPCError>, Never>
  )

  var session: EngineSession
  var queue: OutboundQueue
  /// A thread is inside write(2).
  var isWriting = false
  /// The pipe was full: the engine's thread waits until it takes more.
  var isBlocked = false
  /// The engine will not be written to any more.
  var isStdinClosed = false
  /// When a write found that nobody can read it any more.
  var stdinBrokenAt: MonotonicInstant?
  /// When the engine last took bytes, or the queue last was empty.
  var stdinMovedAt: MonotonicInstant
  /// Instant for which the wake-up timer is armed.
  var armed: MonotonicInstant?

  var jobs: [String: JobWaiter] = [:]
  var loads: [String: LoadWaiter] = [:]
  var unloads: [String: CheckedContinuation<RPCError?, Never>] = [:]
  var pings: [CheckedContinuation<Bool, Never>] = []
  var readiness: CheckedContinuation<EngineDescription?, Never>?
  var end: CheckedContinuation<EngineEnd, Never>?

  /// Set once: how the process is to be ended from now on.
  var teardown: [TeardownStep]?
  var killReason: KillReason?
  var incompatible: String?
  /// The thread is gone.
  var result: EngineEnd?
  /// The host has asked the process to go.
  var isStopping = false
  var pid: Int32?
  var stderrTail = LastLines()
  /// The last frames of both directions, for the evidence of a death.
  var wire = WireTail()
  /// How the process died; set before its jobs hear of it, and nil when the host ended them first.
  var death: Death?
  /// When nothing was to be had from it any more.
  var endedAt: MonotonicInstant?
  var gone: [CheckedContinuation<Void, Never>] = []

  struct Death: Sendable {
    var outcome: ProcessOutcome
    var cause: ExitDiagnosis.Cause
  }

  init(limits: SessionLimits, now: MonotonicInstant) {
    session = EngineSession(limits: limits)
    queue = OutboundQueue(limit: limits.queuedBytes)
    stdinMovedAt = now
  }

  /// Does what can be done under the lock; returns what has to be done after it.
  mutating func absorb(_ actions: [SessionAction], now: MonotonicInstant) -> [Effect] {
    var effects: [Effect] = []
    for action in actions { absorb(action, now: now, into: &effects) }
    if endedAt == nil, session.phase == .ended { endedAt = now }
    return effects
  }

  private mutating func absorb(_ action: SessionAction, now: MonotonicInstant, into effects: inout [Effect]) {
    switch action {
    case .send(let frame):
      if queue.isEmpty { stdinMovedAt = now }
      guard !isStdinClosed else { return }
      if !queue.push(frame), let job = frame.startsJob {
        let full = RPCError(.resource, "the engine does not read: too much is queued for it already")
        effects += absorb(session.refused(jobID: job, full), now: now)
      }
    case .ready(let description):
      if let waiter = readiness.take() { effects.append(.becameReady(waiter, description)) }
      effects.append(.emit(.ready(description)))
    case .incompatible(let text):
      incompatible = text
    case .jobProgress(let id, let progress):
      if let sink = jobs[id]?.sink { effects.append(.progress(sink, progress)) }
    case .jobChunk(let id, let chunk):
      if let sink = jobs[id]?.sink { effects.append(.chunk(sink, chunk)) }
    case .jobEnded(let id, let end):
      if let waiter = jobs.removeValue(forKey: id) { effects.append(.jobEnded(waiter.continuation, end)) }
    case .loadProgress(let progress):
      if let waiter = loads[progress.model] { effects.append(.loadProgress(waiter.progress, progress)) }
    case .loadEnded(let model, let result):
      if let waiter = loads.removeValue(forKey: model) { effects.append(.loadEnded(waiter.continuation, result)) }
    case .unloadEnded(let model, let error):
      if let waiter = unloads.removeValue(forKey: model) { effects.append(.unloadEnded(waiter, error)) }
    case .pong:
      for waiter in pings { effects.append(.pong(waiter, true)) }
      pings.removeAll()
    case .farewell:
      break
    case .log(let message): effects.append(.emit(.log(message)))
    case .noise(let line): effects.append(.emit(.noise(line)))
    case .protocolError(let what, let evidence): effects.append(.emit(.protocolError(what, evidence: evidence)))
    case .kill(let reason):
      guard killReason == nil else { return }
      // One that the host has asked to go is ended by the host, whatever it still does wrong.
      if !isStopping { killReason = reason }
      teardown = Teardown.forced
      effects.append(.emit(.killed(reason)))
      effects.append(.wake)
    }
  }

  /// Everybody who still waits gets an answer.
  mutating func release() -> [Effect] {
    var effects: [Effect] = []
    if let waiter = readiness.take() { effects.append(.becameReady(waiter, nil)) }
    for waiter in pings { effects.append(.pong(waiter, false)) }
    pings.removeAll()
    return effects
  }

  /// Those who wait for the process to be of no more use, once it is.
  mutating func takeGone() -> [CheckedContinuation<Void, Never>] {
    guard session.phase == .ended || result != nil else { return [] }
    defer { gone = [] }
    return gone
  }

  /// What is done without the lock.
  enum Effect {
    case emit(EngineEvent)
    case becameReady(CheckedContinuation<EngineDescription?, Never>, EngineDescription?)
    case progress(JobSink, JobProgress)
    case chunk(JobSink, JobChunk)
    case jobEnded(CheckedContinuation<EngineJobEnd, Never>, EngineJobEnd)
    case loadProgress(@Sendable (ModelProgress) -> Void, ModelProgress)
    case loadEnded(CheckedContinuation<Result<ModelLoadResult, RPCError>, Never>, Result<ModelLoadResult, RPCError>)
    case unloadEnded(CheckedContinuation<RPCError?, Never>, RPCError?)
    case pong(CheckedContinuation<Bool, Never>, Bool)
    /// The thread has to look at the core.
    case wake
  }
}
