import CLinux
import Glibc
import PluginProtocol
import Synchronization

/// One running engine process: ask it to run jobs and load models, and it answers for everything it was asked.
///
/// All methods may be called from any task. The process has a thread of its own, which reads its pipes and watches its
/// clocks; every call returns, at the latest when the process is gone.
package final class EngineProcess: Sendable {
  let process: SpawnedProcess
  let clock: any HostClock
  let limits: SessionLimits
  let command: ProcessSpec
  /// The kernel's count of out-of-memory kills when the process was started.
  let oomKills: UInt64?
  let emit: @Sendable (EngineEvent) -> Void
  /// Who sees the wire.
  let observers: [any WireObserver]
  let wake: WakeSource
  let core: Mutex<EngineCore>

  init(
    process: SpawnedProcess, command: ProcessSpec, limits: SessionLimits, clock: any HostClock,
    observers: [any WireObserver] = [], emit: @escaping @Sendable (EngineEvent) -> Void
  ) throws(SpawnError) {
    self.process = process
    self.observers = observers
    self.command = command
    oomKills = OOMKillCounter.read()
    self.limits = limits
    self.clock = clock
    self.emit = emit
    wake = try WakeSource()
    core = Mutex(EngineCore(limits: limits, now: clock.now()))
  }

  /// Counters of the conversation so far.
  package var counters: EngineSession.Counters { core.withLock { $0.session.counters } }

  /// The engine's process, once it runs.
  package var pid: Int32? { core.withLock { $0.pid } }

  /// The last lines of stderr, oldest first, at most 20.
  package var stderrTail: [String] {
    Array(core.withLock { $0.stderrTail }.lines.suffix(ExitDiagnosis.tailLimit))
  }

  /// Whether the host has asked the process to go.
  package var isStopping: Bool { core.withLock { $0.isStopping } }

  // MARK: Commands

  /// Runs one job. Returns when the job has ended, whatever becomes of the process.
  ///
  /// - Parameters:
  ///   - deadline: from now; the job ends as `.deadline` when it passes.
  ///   - isAlone: whether the engine must have let go of everything else before.
  ///   - isCancelled: asked at the last moment at which `cancel` could not yet have found the job.
  package func run(
    _ parameters: JobRunParameters, deadline: Duration? = nil, isAlone: Bool = false, sink: JobSink = JobSink(),
    unless isCancelled: @Sendable () -> Bool = { false }
  ) async -> EngineJobEnd {
    await withCheckedContinuation { continuation in
      submit { core, now in
        if isCancelled() {
          continuation.resume(returning: .cancelled)
          return []
        }
        core.jobs[parameters.jobID] = (sink, continuation)
        return core.session.run(parameters, deadline: deadline, isAlone: isAlone, now: now)
      }
    }
  }

  /// Asks for a job's end; its `run` returns soon, at the latest after the cancel grace.
  package func cancel(jobID: String) {
    submit { core, now in
      if core.queue.withdraw(jobID: jobID) { return core.session.withdrawn(jobID: jobID) }
      return core.session.cancel(jobID: jobID, now: now)
    }
  }

  /// Lets the engine send chunks of that job up to and including `through`.
  package func credit(jobID: String, through: Int) {
    submit { core, now in core.session.credit(jobID: jobID, through: through, now: now) }
  }

  /// Loads a model. One load of a model at a time.
  package func load(
    _ model: ModelReference, progress: @escaping @Sendable (ModelProgress) -> Void = { _ in }
  ) async -> Result<ModelLoadResult, RPCError> {
    await withCheckedContinuation { continuation in
      submit { core, now in
        core.loads[model.id] = (progress, continuation)
        return core.session.load(model, now: now)
      }
    }
  }

  /// Unloads a model. Returns why it could not, or nil.
  package func unload(model: String) async -> RPCError? {
    await withCheckedContinuation { continuation in
      submit { core, now in
        core.unloads[model] = continuation
        return core.session.unload(model: model, now: now)
      }
    }
  }

  /// Asks for a sign of life. False when the process is not there to give one.
  package func ping() async -> Bool {
    await withCheckedContinuation { continuation in
      submit { core, now in
        let actions = core.session.ping(now: now)
        if actions.isEmpty {
          continuation.resume(returning: false)
        } else {
          core.pings.append(continuation)
        }
        return actions
      }
    }
  }

  /// Asks the process to go: politely first, by force within 10 s.
  package func stop(grace: Duration) {
    core.withLock { core in
      core.isStopping = true
      if core.teardown == nil { core.teardown = Teardown.graceful(grace: grace) }
    }
    wake.signal()
  }

  /// Waits until the process is of no more use: dead, or being killed. Its descendants may still be there.
  package func gone() async {
    await withCheckedContinuation { continuation in
      let isGone: Bool = core.withLock { core in
        if core.session.phase == .ended || core.result != nil { return true }
        core.gone.append(continuation)
        return false
      }
      if isGone { continuation.resume() }
    }
  }

  /// Waits for the handshake. Nil when it did not come about; `ended()` says why.
  func ready() async -> EngineDescription? {
    await withCheckedContinuation { continuation in
      let answer: EngineDescription?? = core.withLock { core in
        if let description = core.session.description { return .some(description) }
        if core.result != nil { return .some(nil) }
        core.readiness = continuation
        return nil
      }
      if let answer { continuation.resume(returning: answer) }
    }
  }

  /// Waits until the process and all its descendants are gone.
  func ended() async -> EngineEnd {
    await withCheckedContinuation { continuation in
      let result: EngineEnd? = core.withLock { core in
        if core.result == nil { core.end = continuation }
        return core.result
      }
      if let result { continuation.resume(returning: result) }
    }
  }

  func initialize(_ parameters: InitializeParameters) {
    submit { core, now in core.session.start(parameters, now: now) }
  }

  // MARK: Plumbing

  /// Gives the session a command, writes what can be written at once, and wakes the thread only when it must look.
  func submit(_ body: (inout EngineCore, MonotonicInstant) -> [SessionAction]) {
    let now = clock.now()
    let (effects, gone) = core.withLock { core in
      let effects = core.absorb(body(&core, now), now: now)
      rearm(&core)
      return (effects, core.takeGone())
    }
    flush()
    perform(effects)
    for waiter in gone { waiter.resume() }
  }

  /// Arms the timer when something is due before it would fire. Never puts it off: a timer that fires early costs less
  /// than a system call a job.
  func rearm(_ core: inout EngineCore) {
    guard let due = core.session.nextDeadline else { return }
    if let armed = core.armed, armed <= due { return }
    core.armed = due
    wake.arm(due)
  }

  func perform(_ effects: [EngineCore.Effect]) {
    for effect in effects {
      switch effect {
      case .emit(let event): emit(event)
      case .becameReady(let waiter, let description): waiter.resume(returning: description)
      case .progress(let sink, let progress): sink.progress(progress)
      case .chunk(let sink, let chunk): sink.chunk(chunk)
      case .jobEnded(let waiter, let end): waiter.resume(returning: end)
      case .loadProgress(let report, let progress): report(progress)
      case .loadEnded(let waiter, let result): waiter.resume(returning: result)
      case .unloadEnded(let waiter, let error): waiter.resume(returning: error)
      case .pong(let waiter, let alive): waiter.resume(returning: alive)
      case .wake: wake.signal()
      }
    }
  }

  /// Writes queued frames until the pipe is full or the queue is empty. One thread at a time is inside: the others
  /// leave their frames to it.
  func flush() {
    while true {
      let next: ArraySlice<UInt8>? = core.withLock { core in
        guard !core.isWriting, !core.isBlocked, !core.isStdinClosed, let head = core.queue.head() else { return nil }
        core.isWriting = true
        return head
      }
      guard let next else { return }
      let count = next.withUnsafeBytes { write(process.stdin, $0.baseAddress, $0.count) }
      let failure = count < 0 ? errno : 0
      let needsThread: Bool = core.withLock { core in
        core.isWriting = false
        if count > 0 {
          let now = clock.now()
          core.stdinMovedAt = now
          if let frame = core.queue.advance(count) {
            core.wire.sent(frame.bytes, now: now)
            observe(sent: frame, at: now)
          }
          return false
        }
        core.queue.advance(0)
        if failure == EINTR { return false }
        if failure == EAGAIN {
          core.isBlocked = true
        } else {
          core.isStdinClosed = true
          core.stdinBrokenAt = clock.now()
        }
        return true
      }
      if needsThread {
        wake.signal()
        return
      }
    }
  }
}
