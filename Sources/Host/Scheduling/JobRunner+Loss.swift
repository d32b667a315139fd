import PluginProtocol

extension JobRunner {
  /// The process went away with the job.
  ///
  /// - Parameter others: jobs in the process that it may not have known of itself.
  func lost(
    _ job: WaitingJob, _ attempt: Int, _ reason: LossReason, at place: Place, others: Int = 0
  ) async -> Verdict {
    var failure = JobFailure(
      .engineFault, "the engine \(place.plugin) was lost while it ran the job: \(reason.text)")
    var death = place.engine.death
    if let inHand = death?.inHand { death?.inHand = max(inHand, others + 1) }
    let circumstance = Blame.Circumstance(reason, death: death, isStopping: place.engine.isStopping)
    guard circumstance != .hosts else {
      let wasBegun = if case .notBegun = reason { false } else { !place.engine.isStopping }
      if wasBegun { failure.evidence = death?.evidence }
      await requeue(job, attempt, wasBegun ? .lost : .superseded, failure, after: .zero, counts: false)
      return .gone
    }
    if case .killed(let kill) = reason { failure.errorClass = kill.failureClass.rawValue }
    if case .outOfMemory = circumstance { failure.errorClass = FailureClass.resource.rawValue }
    var evidence = death?.evidence.object ?? [:]
    if let mark = BlameMark(circumstance) { evidence[BlameMark.key] = .string(mark.rawValue) }
    failure.evidence = .object(evidence)
    let (ruling, stories) = blame.rule(job.id, circumstance, story: failure)
    // Memory may be there again in a moment: not before it.
    var delay = Duration.zero
    if case .outOfMemory = circumstance { delay = JobRunner.untilThereIsRoom(attempt) }
    switch ruling {
    case .unblamed, .suspect: await requeue(job, attempt, .lost, failure, after: delay, counts: false)
    case .guilty: await requeue(job, attempt, .lost, failure, after: delay)
    case .poison:
      let verdict = JobFailure(
        .engineFault, "the job ended \(stories.count) engine processes and is not tried again: \(reason.text)",
        evidence: .array(stories.map(\.json)))
      await finish(job, attempt, .failure(verdict), JobTiming())
      return .poisoned
    }
    return .gone
  }
}

extension Blame.Circumstance {
  /// - Parameters:
  ///   - death: how the process came to its end, where that is known.
  ///   - isStopping: whether the host had asked the process to go.
  init(_ reason: LossReason, death: EngineDeath?, isStopping: Bool) {
    let inHand = death?.inHand ?? 1
    switch reason {
    case _ where isStopping: self = .hosts
    case .notBegun: self = .hosts
    case .died: self = death?.isOutOfMemory == true ? .outOfMemory(inHand: inHand) : .died(inHand: inHand)
    case .stalled: self = .stalled
    case .killed(let reason): self = reason.isBlamedOnJobs ? .died(inHand: inHand) : .hosts
    }
  }
}

extension KillReason {
  /// What the jobs in hand have failed of.
  var failureClass: FailureClass {
    switch self {
    case .tooManyProcesses, .diskQuota: .resource
    default: .engineFault
    }
  }

  /// Whether the jobs in hand may have caused it. A kill for one job's sake, or at start, is no other job's fault.
  var isBlamedOnJobs: Bool {
    switch self {
    case .noise, .protocolErrors, .partialLine, .closedOutput, .closedInput, .stdinStalled: true
    case .tooManyProcesses, .diskQuota: true
    // The job that stalled was told `.stalled`: who hears this shared the process with it.
    case .jobStalled, .startTimeout, .ignoredCancel, .loadStalled, .loadTooLong, .badHandshake: false
    case .unloadStalled, .pingUnanswered: false
    }
  }
}

extension LossReason {
  /// Why a job lost its process while its model was being loaded; nil when the load itself is what failed.
  init?(loadOf model: String, _ death: EngineDeath, _ problem: RPCError) {
    switch death.killReason {
    case .loadStalled(model, _)?, .loadTooLong(model, _)?: return nil
    case let reason?: self = .killed(reason)
    case nil: self = .died(problem.message)
    }
  }
}
