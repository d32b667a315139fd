import CLinux
import Glibc
import PluginProtocol
import Synchronization

/// The body of an engine's thread: reads the pipes, watches the clocks, carries out the teardown.
struct EngineThread {
  private let owner: EngineProcess
  private let startedAt: MonotonicInstant
  private var framer = LineFramer()
  private var partialSince: MonotonicInstant?
  private var stderr = StderrTail()
  private var status = ProcessStatusParser()
  private var pid: Int32?
  private var death: ProcessOutcome?
  private var diagnosis: ExitDiagnosis?
  private var hostEndedIt = false
  /// The host had asked it to go when it died: what comes after the death says nothing about its cause.
  private var wasAsked = false
  private var outputEndedAt: MonotonicInstant?
  private var isMonitorReaped = false
  private var teardown: TeardownMachine?
  private var steps: [TeardownStep]?
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)

  init(_ owner: EngineProcess) {
    self.owner = owner
    startedAt = owner.clock.now()
  }

  private var process: SpawnedProcess { owner.process }

  /// Runs until nothing of the process is left, or only orphans that have come to the host.
  mutating func run() -> EngineEnd {
    defer { buffer.deallocate() }
    while true {
      let now = owner.clock.now()
      checkClocks(now)
      switch step(now) {
      case .go(let until): poll(until: earliest(until, ownDeadline()))
      case .again: continue
      case .finished(let outcome): return end(isLost: outcome == .lost)
      case .orphans: return end(needsOrphanSweep: true)
      }
    }
  }

  // MARK: Teardown

  private enum Progress {
    case go(until: MonotonicInstant?)
    case again
    case finished(TeardownMachine.Outcome)
    case orphans
  }

  private mutating func step(_ now: MonotonicInstant) -> Progress {
    if let wanted = owner.core.withLock({ $0.teardown }), steps != wanted, death == nil {
      begin(wanted, now)
    }
    guard var machine = teardown else { return .go(until: nil) }
    defer { teardown = machine }
    switch machine.next(at: now) {
    case .wait(let until): return .go(until: until)
    case .finished(let outcome): return .finished(outcome)
    case .perform(let action):
      if action == .reapOrphans { return .orphans }
      perform(action)
      return .again
    }
  }

  private mutating func begin(_ steps: [TeardownStep], _ now: MonotonicInstant) {
    self.steps = steps
    var machine = TeardownMachine(steps, at: now)
    if death != nil { machine.observe(.engineEnded) }
    if !process.isOpen(.stdout), !process.isOpen(.stderr) { machine.observe(.drained) }
    teardown = machine
  }

  private mutating func perform(_ action: TeardownAction) {
    switch action {
    case .requestShutdown:
      hostEndedIt = true
      owner.submit { core, _ in core.session.shutdown() }
    case .closeStdin:
      hostEndedIt = true
      closeStdin()
    case .terminateGroup:
      hostEndedIt = true
      process.signalGroup(.terminate)
    case .killGroup:
      hostEndedIt = true
      process.signalGroup(.kill)
    case .drain: break
    case .sweep:
      process.close(.stdout)
      process.close(.stderr)
      closeStdin()
      teardown?.observe(.drained)
      process.close(.control)
    case .killMonitor: process.killMonitor()
    case .reapOrphans: break
    }
  }

  /// Closes the engine's stdin once no other thread is inside a write to it.
  private func closeStdin() {
    while true {
      let isFree: Bool = owner.core.withLock { core in
        core.isStdinClosed = true
        return !core.isWriting
      }
      if isFree { break }
      sched_yield()  // The write is non-blocking: it is over in microseconds.
    }
    process.close(.stdin)
  }

  // MARK: Clocks

  private func earliest(_ instants: MonotonicInstant?...) -> MonotonicInstant? { instants.compactMap { $0 }.min() }

  /// What this thread itself waits for, beside the session's timer.
  private func ownDeadline() -> MonotonicInstant? {
    guard teardown == nil else { return nil }
    let (stdinDue, brokenAt) = owner.core.withLock { core in
      (core.isBlocked ? core.stdinMovedAt.advanced(by: owner.limits.stdinStall) : nil, core.stdinBrokenAt)
    }
    return earliest(
      partialSince?.advanced(by: owner.limits.partialLine), stdinDue,
      outputEndedAt?.advanced(by: EngineThread.closedGrace), brokenAt?.advanced(by: EngineThread.closedGrace))
  }

  /// How long a process may live on after it has closed its stdout or its stdin.
  private static let closedGrace: Duration = .milliseconds(500)

  private func checkClocks(_ now: MonotonicInstant) {
    guard teardown == nil else { return }
    if let since = partialSince, since.advanced(by: owner.limits.partialLine) <= now {
      abort(.partialLine(owner.limits.partialLine))
    } else if let ended = outputEndedAt, ended.advanced(by: EngineThread.closedGrace) <= now {
      abort(.closedOutput)
    } else {
      let (isStalled, isBroken) = owner.core.withLock { core in
        (
          core.isBlocked && core.stdinMovedAt.advanced(by: owner.limits.stdinStall) <= now,
          core.stdinBrokenAt.map { $0.advanced(by: EngineThread.closedGrace) <= now } ?? false
        )
      }
      if isBroken {
        abort(.closedInput)
      } else if isStalled {
        abort(.stdinStalled(owner.limits.stdinStall))
      }
    }
  }

  private func abort(_ reason: KillReason) {
    owner.submit { core, _ in core.session.abort(reason) }
  }

  // MARK: Polling

  private mutating func poll(until: MonotonicInstant?) {
    let now = owner.clock.now()
    let timeout = until.map { now.duration(to: $0).pollMilliseconds } ?? -1
    let wantsWrite = owner.core.withLock { $0.isBlocked && !$0.isStdinClosed }
    var descriptors: [pollfd] = []
    descriptors.reserveCapacity(7)
    func add(_ descriptor: Int32, _ events: Int32, _ when: Bool = true) {
      descriptors.append(pollfd(fd: when ? descriptor : -1, events: Int16(events), revents: 0))
    }
    add(process.stdout, POLLIN, process.isOpen(.stdout))
    add(process.stderr, POLLIN, process.isOpen(.stderr))
    add(process.status, POLLIN, process.isOpen(.status))
    // Until `reap` has seen its end: to ask here whether it has ended would take the answer away from there.
    add(process.monitorPIDFD, POLLIN, !process.isOpen(.status) && !isMonitorReaped)
    add(owner.wake.event, POLLIN)
    add(owner.wake.timer, POLLIN)
    // Without an event to wait for, the kernel still says that nobody can read it any more: once is enough.
    let hasReader = owner.core.withLock { $0.stdinBrokenAt == nil }
    add(process.stdin, wantsWrite ? POLLOUT : 0, hasReader && process.isOpen(.stdin))
    let ready = Glibc.poll(&descriptors, nfds_t(descriptors.count), timeout)
    guard ready > 0 else { return }
    if descriptors[0].revents != 0 { readOutput(limit: 4) }
    if descriptors[1].revents != 0 { readErrors(limit: 4) }
    if descriptors[2].revents != 0 { readStatus() }
    if descriptors[3].revents != 0 { reap() }
    if descriptors[4].revents != 0 { owner.wake.drain() }
    if descriptors[5].revents != 0 { tick() }
    if descriptors[6].revents & Int16(POLLERR) != 0 {
      owner.core.withLock { core in
        core.isStdinClosed = true
        core.stdinBrokenAt = core.stdinBrokenAt ?? owner.clock.now()
      }
    } else if descriptors[6].revents != 0 {
      owner.core.withLock { $0.isBlocked = false }
      owner.flush()
    }
  }

  private mutating func tick() {
    let now = owner.clock.now()
    owner.core.withLock { core in
      core.armed = nil
      owner.wake.arm(nil)
    }
    owner.submit { core, _ in core.session.tick(now: now) }
  }

  /// Reads up to `limit` buffers from a pipe. Returns false when the pipe has ended.
  private mutating func drain(
    _ descriptor: Int32, limit: Int, _ take: (inout EngineThread, UnsafeRawBufferPointer) -> Void
  ) -> Bool {
    for _ in 0..<limit {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count > 0 {
        take(&self, UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        if count < buffer.count { return true }
      } else if count < 0, errno == EINTR {
        continue
      } else {
        return count < 0 && errno == EAGAIN
      }
    }
    return true
  }

  private mutating func readOutput(limit: Int) {
    guard process.isOpen(.stdout) else { return }
    let isOpen = drain(process.stdout, limit: limit) { thread, bytes in thread.take(output: bytes) }
    guard !isOpen else { return }
    process.close(.stdout)
    outputEndedAt = owner.clock.now()
    partialSince = nil
    if !process.isOpen(.stderr) { teardown?.observe(.drained) }
  }

  private mutating func take(output bytes: UnsafeRawBufferPointer) {
    let now = owner.clock.now()
    let owner = owner
    // Moved, not copied: a second reference would copy the line so far with every piece of it.
    var framer = LineFramer()
    swap(&framer, &self.framer)
    var effects: [EngineCore.Effect] = []
    framer.feed(bytes) { event in
      owner.core.withLock { core in
        core.wire.received(event, now: now)
        owner.observe(received: event, at: now)
        effects += core.absorb(core.session.receive(event, now: now), now: now)
      }
    }
    owner.core.withLock { core in
      owner.rearm(&core)
      if let cap = core.session.description?.lineBytes { framer.limit = cap }
    }
    swap(&framer, &self.framer)
    if self.framer.hasPartialLine {
      if partialSince == nil || bytes.contains(0x0A) { partialSince = now }
    } else {
      partialSince = nil
    }
    let gone = owner.core.withLock { $0.takeGone() }
    owner.flush()
    owner.perform(effects)
    for waiter in gone { waiter.resume() }
  }

  private mutating func readErrors(limit: Int) {
    guard process.isOpen(.stderr) else { return }
    let isOpen = drain(process.stderr, limit: limit) { thread, bytes in
      let now = thread.owner.clock.now()
      thread.stderr.feed(bytes, now: now, thread.owner.emit)
    }
    owner.core.withLock { $0.stderrTail = stderr.last }
    guard !isOpen else { return }
    process.close(.stderr)
    stderr.finish(now: owner.clock.now(), owner.emit)
    if !process.isOpen(.stdout) { teardown?.observe(.drained) }
  }

  private mutating func readStatus() {
    let read: SpawnedProcess.StatusRead
    do {
      read = try process.readStatus(&status)
    } catch {
      owner.emit(.protocolError("\(error)", evidence: error.line))
      return
    }
    for record in read.records {
      switch record {
      case .sandbox(let inForce): owner.emit(.confined(inForce))
      case .exceededProcesses(let limit): abort(.tooManyProcesses(limit))
      case .started(let pid, _):
        self.pid = pid
        owner.core.withLock { $0.pid = pid }
        owner.emit(.started(pid: pid))
      case .failed(let step, let errno): died(.notStarted(step: step, errno: errno))
      case .exited(let code, _): died(.exited(code: code))
      case .signaled(let signal, _, _): died(.signaled(signal: signal, sentByHost: hostEndedIt))
      case .swept(_, let left): teardown?.observe(.swept(left: left))
      }
    }
    if read.ended {
      process.close(.status)
      reap()
    }
  }

  private mutating func reap() {
    guard !isMonitorReaped, process.reapMonitor() != nil else { return }
    isMonitorReaped = true
    if death == nil { died(.monitorLost) }
    teardown?.observe(.monitorEnded)
  }

  /// The engine is dead: what it said before counts, then everything that it had in hand ends.
  private mutating func died(_ how: ProcessOutcome) {
    guard death == nil else { return }
    death = how
    wasAsked = hostEndedIt || owner.isStopping
    readOutput(limit: 256)
    readErrors(limit: 64)
    let diagnosis = diagnose(how)
    self.diagnosis = diagnosis
    owner.core.withLock { $0.death = EngineCore.Death(outcome: how, cause: diagnosis.cause) }
    owner.emit(.died(diagnosis.sentence))
    owner.submit { core, _ in core.session.ended(diagnosis.sentence) }
    if teardown == nil {
      begin(Teardown.afterDeath, owner.clock.now())
    } else {
      teardown?.observe(.engineEnded)
    }
  }

  private func diagnose(_ how: ProcessOutcome) -> ExitDiagnosis {
    let command = owner.command
    return ExitDiagnosis(
      ExitDiagnosis.Evidence(
        outcome: how, command: command.command, workingDirectory: command.workingDirectory,
        executable: ExecutableFacts.inspect(
          command: command.command.first ?? "", searchPath: command.environment["PATH"],
          workingDirectory: command.workingDirectory),
        stderrTail: stderr.lines, oomKillSeen: owner.oomKills != OOMKillCounter.read()))
  }

  // MARK: End

  private func end(isLost: Bool = false, needsOrphanSweep: Bool = false) -> EngineEnd {
    let (session, killReason, incompatible, evidence) = owner.core.withLock {
      ($0.session, $0.killReason, $0.incompatible, EngineDeath($0)?.evidence)
    }
    let cause: EngineEnd.Cause
    if incompatible != nil || diagnosis?.cause == .noSandbox {
      cause = .incompatible
    } else if let killReason {
      if case .startTimeout = killReason { cause = .failedToStart } else { cause = .killed(killReason) }
    } else if death == nil ? hostEndedIt : wasAsked {
      cause = .stopped
    } else {
      cause = session.description == nil ? .failedToStart : .crashed
    }
    let words = incompatible ?? killReason?.description ?? diagnosis?.sentence ?? "the engine's end was not seen"
    return EngineEnd(
      cause: cause, diagnosis: words, failure: diagnosis?.cause == .outOfMemory ? .resource : .engineFault, pid: pid,
      isLost: isLost,
      needsOrphanSweep: needsOrphanSweep, stderrTail: stderr.lines, lifetime: startedAt.duration(to: owner.clock.now()),
      counters: session.counters, evidence: cause == .stopped ? nil : evidence)
  }
}
