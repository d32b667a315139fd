import PluginProtocol

/// Takes one job through one engine: claim, model, run, artifacts, terminal state.
package struct JobRunner: Sendable {
  let store: JobStore
  let live: LiveJobs
  let dispatcher: Dispatcher
  let router: @Sendable () -> ModelRouter
  let clock: any HostClock
  let blame: BlameBook
  let inputs: InputStage
  let residency: Residency
  let log: HostLog

  /// Who runs the job.
  struct Place: Sendable {
    var plugin: String
    var pid: Int32?
    var engine: EngineProcess
    var description: EngineDescription
    /// The process, as the memory ledger knows it; nil for engines that load no models.
    var holder: MemoryLedger.HolderID?
    /// Jobs that had been given to the process when this was first asked.
    var company: @Sendable () -> Int = { 1 }
    /// Processes that the plugin may have: the disk quota counts what all of them have written.
    var processes = 1
  }

  /// How the attempt went, as far as the engine's reputation goes.
  enum Verdict: Sendable {
    /// The engine did what it was asked, or the job was at fault.
    case good
    case bad
    /// The engine was not needed.
    case neutral
    /// The process is gone.
    case gone
    /// The process is gone, and this job is what ends processes.
    case poisoned
  }

  /// Runs a job that was taken out of line. The job is in line again, or ended, when this returns.
  func run(_ job: WaitingJob, at place: Place) async -> Verdict {
    let attempt: Int
    live.announce(job.id)
    do {
      attempt = try await store.claim(job.id, engine: place.plugin, pid: place.pid, model: job.lane.model)
    } catch {
      // Cancelled or expired between the line and here: that is stored already.
      if case .notQueued = error {
        live.retract(job.id)
        return .neutral
      }
      log.write(.error, "scheduler", "cannot claim job \(job.id): \(error)", job: job.id)
      var later = job
      later.startableAt = clock.now().advanced(by: .seconds(1))
      dispatcher.enqueue(later)
      return .neutral
    }
    let queued = job.queuedAt.duration(to: clock.now())
    let verdict = await attemptJob(job, attempt, at: place, queued: queued)
    await store.artifacts.removeWorkDirectory(job.id, attempt: attempt, of: place.plugin)
    return verdict
  }

  private func attemptJob(_ job: WaitingJob, _ attempt: Int, at place: Place, queued: Duration) async -> Verdict {
    let engine = place.engine
    let id = job.id
    let residency = residency
    let handle = LiveJobs.Handle(
      cancel: {
        // Where the job is, nobody here can know: whoever does not have it does nothing.
        residency.abandon(id.description)
        engine.cancel(jobID: id.description)
      },
      credit: { engine.credit(jobID: id.description, through: $0) })
    let mayRun = live.begin(id, attempt: attempt, handle: handle)
    guard mayRun else {
      await finish(job, attempt, .cancelled, JobTiming())
      return .neutral
    }
    let work: String
    let prepared: PreparedTask
    do {
      // Before the model: a bad input loads nothing.
      work = try store.artifacts.makeWorkDirectory(id, attempt: attempt, of: place.plugin)
      let live = live
      prepared = try await inputs.prepare(
        id, workDirectory: work, contentFiles: place.description.abilities.takesContentFiles, attempt: attempt,
        timeLimit: job.deadlineAt.map { clock.now().duration(to: $0) },
        progress: { live.report(id, attempt: attempt, $0) }, isCancelled: { live.isCancelRequested(id) })
    } catch let refusal as RPCError {
      if refusal.failureClass == .cancelled {
        guard live.isCancelRequested(id) else {
          await requeue(
            job, attempt, .superseded,
            JobFailure(.transient, "the worker was stopped while the job's inputs were prepared"), after: .zero,
            counts: false)
          return .gone
        }
        await finish(job, attempt, .cancelled, JobTiming())
        return .neutral
      }
      _ = await failed(job, attempt, refusal, at: place, JobTiming())
      return .neutral
    } catch {
      await requeue(
        job, attempt, .failed, JobFailure(.resource, "the job could not be prepared: \(error)"), after: .seconds(2))
      return .neutral
    }
    let fetched = clock.now()
    let model: ModelReference
    switch await loadModel(job, attempt, at: place, since: fetched) {
    case .success(let reference): model = reference
    case .failure(let verdict): return verdict.verdict
    }
    let loaded = clock.now()
    defer { if let holder = place.holder { residency.release(model.id, at: holder) } }
    let parameters = JobRunParameters(
      jobID: id.description, attempt: attempt, kind: job.lane.kind.rawValue, model: model, task: prepared.task,
      taskFile: prepared.taskFile, inputs: prepared.inputs, workDirectory: work,
      deadlineSeconds: job.deadlineAt.map { max(0.001, clock.now().duration(to: $0).inSeconds) })
    // A cancel while the model was loading has found no job in the engine.
    if live.isCancelRequested(id) {
      await finish(job, attempt, .cancelled, JobTiming(loadMs: fetched.ms(to: loaded)))
      return .neutral
    }
    let end = await engine.run(
      parameters, deadline: job.deadlineAt.map { clock.now().duration(to: $0) }, isAlone: job.isAlone,
      sink: sink(id, attempt), unless: { live.isCancelRequested(id) })
    let timing = JobTiming(
      queuedMs: queued.inMilliseconds, loadMs: fetched.ms(to: loaded), runMs: loaded.ms(to: clock))
    return await settle(job, attempt, end, at: place, timing)
  }

  /// The attempt is over before it came to the engine.
  private struct Ended: Error {
    var verdict: Verdict
  }

  /// Finds the model, and has it loaded for this job when the engine loads models.
  private func loadModel(
    _ job: WaitingJob, _ attempt: Int, at place: Place, since started: MonotonicInstant
  ) async -> Result<ModelReference, Ended> {
    let id = job.id
    let route: Route
    do {
      route = try await router().route(kind: job.lane.kind, model: job.lane.model)
    } catch let refusal as RoutingRefusal {
      let failure = JobFailure(errorClass: refusal.errorClass, message: refusal.description)
      if !router().plugins.contains(where: { $0.name == place.plugin }) {
        // Switched off or removed since the job was handed out: that is not the end of the job.
        await requeue(job, attempt, .superseded, failure, after: .zero, counts: false)
        return .failure(Ended(verdict: .gone))
      }
      await finish(job, attempt, .failure(failure), JobTiming())
      return .failure(Ended(verdict: .neutral))
    } catch {
      await requeue(
        job, attempt, .failed, JobFailure(.resource, "the job could not be prepared: \(error)"), after: .seconds(2))
      return .failure(Ended(verdict: .neutral))
    }
    guard let holder = place.holder else { return .success(route.model) }
    let live = live
    live.loading(id, model: route.model.id, fraction: nil)
    let acquired = await residency.acquire(
      route.model, fileBytes: route.fileBytes, at: holder, for: id.description,
      progress: { live.loading(id, model: $0.model, fraction: $0.fraction) },
      unless: { live.isCancelRequested(id) })
    switch acquired {
    case .ready:
      live.loaded(id)
      return .success(route.model)
    case .abandoned:
      if live.isCancelRequested(id) {
        await finish(job, attempt, .cancelled, JobTiming(loadMs: started.ms(to: clock)))
        return .failure(Ended(verdict: .neutral))
      }
      if !Task.isCancelled, let deadline = job.deadlineAt, deadline <= clock.now() {
        let failure = JobFailure(
          errorClass: "deadline", message: "the job's deadline passed while its model was loading")
        await finish(job, attempt, .failure(failure), JobTiming(loadMs: started.ms(to: clock)))
        return .failure(Ended(verdict: .neutral))
      }
      await requeue(
        job, attempt, .superseded, JobFailure(.transient, "the worker was stopped while the model was loading"),
        after: .zero, counts: false)
      return .failure(Ended(verdict: .gone))
    case .impossible(let problem):
      await finish(
        job, attempt, .failure(JobFailure(problem.failureClass, problem.message)),
        JobTiming(loadMs: started.ms(to: clock)))
      return .failure(Ended(verdict: .neutral))
    case .crowded(let problem):
      await requeue(
        job, attempt, .superseded, JobFailure(problem.failureClass, problem.message), after: .zero, counts: false)
      return .failure(Ended(verdict: .neutral))
    case .failed(let problem):
      if place.engine.isStopping || problem == Residency.gone {
        // The host ended the load, or the process died before it began: the job is not to blame.
        await requeue(
          job, attempt, .superseded, JobFailure(problem.failureClass, problem.message), after: .zero, counts: false)
        return .failure(Ended(verdict: .gone))
      }
      if let death = place.engine.death, let loss = LossReason(loadOf: route.model.id, death, problem) {
        // One load may be for several jobs: the process knows of the load alone.
        let verdict = await lost(job, attempt, loss, at: place, others: place.company() - 1)
        return .failure(Ended(verdict: verdict))
      }
      return .failure(
        Ended(verdict: await failed(job, attempt, problem, at: place, JobTiming(loadMs: started.ms(to: clock)))))
    }
  }

  private func sink(_ id: JobID, _ attempt: Int) -> JobSink {
    let live = live
    return JobSink(
      progress: { live.report(id, attempt: attempt, $0) }, chunk: { live.take(id, attempt: attempt, $0) })
  }

  // MARK: Ends

  private func settle(
    _ job: WaitingJob, _ attempt: Int, _ end: EngineJobEnd, at place: Place, _ timing: JobTiming
  ) async -> Verdict {
    switch end {
    case .succeeded(let result):
      do {
        let collected = try await inputs.collect(result, of: job.id, attempt: attempt, from: place.plugin)
        await finish(job, attempt, .success(result: collected.result, artifacts: collected.artifacts), timing)
        return .good
      } catch {
        await store.artifacts.removeArtifacts(of: job.id, attempt: attempt)
        await finish(job, attempt, .failure(error.failure), timing)
        return .bad
      }
    case .cancelled:
      await finish(job, attempt, .cancelled, timing)
      return .neutral
    case .deadline:
      await finish(
        job, attempt, .failure(JobFailure(errorClass: "deadline", message: "the job's deadline passed while it ran")),
        timing)
      return .neutral
    case .failed(let error):
      return await failed(job, attempt, error, at: place, timing)
    case .lost(let reason):
      let others = if case .killed(.diskQuota) = reason { place.processes - 1 } else { 0 }
      return await lost(job, attempt, reason, at: place, others: others)
    }
  }

  /// The engine said no, or broke the protocol for this job.
  private func failed(
    _ job: WaitingJob, _ attempt: Int, _ error: RPCError, at place: Place, _ timing: JobTiming
  ) async -> Verdict {
    let failure = JobFailure(error.failureClass, error.message, evidence: error.data["evidence"])
    switch error.failureClass {
    case .badInput, .unsupported, .cancelled:
      await finish(job, attempt, .failure(failure), timing)
      return .good
    case .engineFault:
      await requeue(job, attempt, .failed, failure, after: .zero)
      return .bad
    case .resource, .transient:
      await requeue(job, attempt, .failed, failure, after: JobRunner.untilThereIsRoom(attempt))
      return .good
    }
  }

  /// How long a job waits when something has run out: 2 s, twice as long each time, up to 32 s.
  static func untilThereIsRoom(_ attempt: Int) -> Duration { .seconds(1 << min(attempt, 5)) }

  func finish(_ job: WaitingJob, _ attempt: Int, _ end: AttemptEnd, _ timing: JobTiming) async {
    var end = end
    var pause = Duration.milliseconds(200)
    var tries = 0
    while true {
      do {
        let result = try await store.finish(job.id, attempt: attempt, end, timing: timing)
        switch result {
        case .recorded(let state): ended(job.id, state)
        case .superseded: live.requeued(job.id)
        }
        return
      } catch {
        if case .tooLarge = error {
          end = .failure(JobFailure(.engineFault, "the result does not fit: \(error)"))
          continue
        }
        guard await sleep(pause) else {
          live.requeued(job.id)
          log.write(.error, "scheduler", "the end of job \(job.id) cannot be stored: \(error)", job: job.id)
          return
        }
        if case .closed = error { return }  // The next life finds the job as it stood.
        tries += 1
        if let failure = await makeRoom(job.id, attempt, error, end, tries: tries) {
          end = failure
          continue
        }
        log.write(.warn, "scheduler", "the end of job \(job.id) cannot be stored yet: \(error)", job: job.id)
        pause = min(pause * 2, .seconds(10))
      }
    }
  }

  func requeue(
    _ job: WaitingJob, _ attempt: Int, _ outcome: AttemptOutcome, _ failure: JobFailure, after delay: Duration,
    counts: Bool = true
  ) async {
    var pause = Duration.milliseconds(200)
    while true {
      do {
        let result = try await store.loseAttempt(
          job.id, attempt: attempt, outcome: outcome, failure: failure, requeueAfter: delay.inSeconds,
          countsAgainstJob: counts)
        switch result {
        case .requeued:
          log.write(.warn, "scheduler", "job \(job.id) goes back into line: \(failure.message)", job: job.id)
          live.requeued(job.id)
          var again = job
          again.attempts = attempt
          again.isAlone = blame.isSuspect(job.id)
          again.startableAt = delay == .zero ? nil : clock.now().advanced(by: delay)
          dispatcher.enqueue(again)
        case .ended(let state): ended(job.id, state)
        case .superseded: live.requeued(job.id)
        }
        return
      } catch {
        // A job that is neither in line nor in an engine would stay `running` until the next start: tried again.
        log.write(
          .error, "scheduler", "the end of an attempt at job \(job.id) cannot be stored: \(error)", job: job.id)
        await store.artifacts.emptyWorkDirectory(job.id, attempt: attempt)
        guard error != .closed, await sleep(pause) else { return live.requeued(job.id) }
        pause = min(pause * 2, .seconds(10))
      }
    }
  }

  private func ended(_ id: JobID, _ state: JobState) {
    blame.forget(id)
    live.finished(id, state)
  }
}

extension Duration {
  /// In seconds, for JSON.
  package var inSeconds: Double { Double(saturatedNanoseconds) / 1e9 }
  /// In whole milliseconds.
  package var inMilliseconds: Int64 { saturatedNanoseconds / 1_000_000 }
}

extension MonotonicInstant {
  func ms(to other: MonotonicInstant) -> Int64 { duration(to: other).inMilliseconds }
  func ms(to clock: any HostClock) -> Int64 { duration(to: clock.now()).inMilliseconds }
}
