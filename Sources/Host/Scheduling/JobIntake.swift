import PluginProtocol

/// The one way in for jobs, wherever they come from: routed, stored, then put into line. And the one way to cancel them.
package struct JobIntake: Sendable {
  let store: JobStore
  let dispatcher: Dispatcher
  let live: LiveJobs
  let router: @Sendable () -> ModelRouter
  let inputs: InputStage
  let residency: Residency
  let blame: BlameBook
  let clock: any HostClock
  /// Told when a job with a deadline came in.
  let upkeep: Nap

  /// Takes a job. When this returns the job is durable.
  ///
  /// - Throws: `RPCError` of one of the control socket's classes.
  package func submit(_ request: JobRequest, id: JobID? = nil) async throws(RPCError) -> SubmitResult {
    guard dispatcher.intake != .draining else {
      throw RPCError(control: .draining, "the worker is draining and takes no new jobs; `stoker resume` opens it again")
    }
    var request = request
    let route: Route
    do {
      route = try await router().route(kind: request.kind, model: request.model)
    } catch let refusal as RoutingRefusal {
      throw RPCError(control: ControlFailure(rawValue: refusal.errorClass) ?? .noEngine, refusal.description)
    } catch {
      throw RPCError(control: .internal, "\(error)")
    }
    request.model = route.lane.model
    residency.note(route.lane.model, fileBytes: route.fileBytes)
    let result = try await inputs.submit(request, id: id)
    if case .created(let id) = result {
      let now = clock.now()
      dispatcher.enqueue(
        WaitingJob(
          id: id, lane: route.lane, priority: request.priority,
          deadlineAt: request.deadlineSeconds.map { now.advanced(by: .milliseconds(Int64($0 * 1000))) }, queuedAt: now))
      if request.deadlineSeconds != nil { upkeep.wake() }
    }
    return result
  }

  /// Puts the jobs of a former life into line.
  package func restore() async throws(JobStoreError) {
    let now = clock.now()
    for job in try await store.queuedIndex() {
      // What it has done to engines is in its attempts.
      if job.attempts > 0 { blame.restore(job.id, try await store.job(job.id).attempts) }
      dispatcher.enqueue(
        WaitingJob(
          id: job.id, lane: JobLane(kind: job.kind, model: job.model ?? ""), priority: job.priority,
          attempts: job.attempts, deadlineAt: job.deadlineInMs.map { now.advanced(by: .milliseconds($0)) },
          startableAt: job.startableInMs.map { now.advanced(by: .milliseconds($0)) }, queuedAt: now,
          isAlone: blame.isSuspect(job.id)))
    }
  }

  /// Cancels a job in whatever state it is.
  package func cancel(_ id: JobID) async throws(JobStoreError) -> CancelResult {
    let result = try await store.requestCancel(id)
    switch result {
    case .cancelled:
      _ = dispatcher.withdraw(id)
      blame.forget(id)
      live.finished(id, .cancelled)
    case .requested: _ = live.cancel(id)
    case .alreadyFinished: break
    }
    return result
  }

  /// Fails waiting jobs whose deadline has passed. Returns when to look again.
  package func expire() async throws(JobStoreError) -> Duration? {
    let report = try await store.expireDeadlines()
    for id in report.failed {
      _ = dispatcher.withdraw(id)
      blame.forget(id)
      live.finished(id, .failed)
    }
    // An engine has the deadline itself; who waits for a model, or for one to be loaded, hears it here.
    for overdue in report.running { residency.abandon(overdue.job.description) }
    return report.nextInMs.map { .milliseconds(max(1, $0)) }
  }

  /// Fails waiting jobs that nothing here can serve any more, with the reason.
  package func refuse(where matches: (JobLane) -> Bool, reason: (JobLane) -> String) async {
    for job in dispatcher.withdrawAll(where: matches) {
      do {
        let attempt = try await store.claim(job.id, engine: "none", pid: nil, model: job.lane.model)
        let end = AttemptEnd.failure(JobFailure(errorClass: "no_engine", message: reason(job.lane)))
        if case .recorded(let state) = try await store.finish(job.id, attempt: attempt, end) {
          blame.forget(job.id)
          live.finished(job.id, state)
        }
      } catch {
        continue  // Ended otherwise in between: that is stored already.
      }
    }
  }
}

extension RPCError {
  /// What the store refused, in the control socket's classes.
  package init(_ error: JobStoreError) {
    switch error {
    case .queueFull, .overloaded: self.init(control: .queueFull, "\(error)")
    case .idempotencyConflict: self.init(control: .conflict, "\(error)")
    case .invalidRequest, .tooLarge: self.init(control: .badInput, "\(error)")
    case .unknownJob: self.init(control: .notFound, "\(error)")
    default: self.init(control: .internal, "\(error)")
    }
  }
}
