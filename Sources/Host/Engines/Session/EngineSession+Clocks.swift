import PluginProtocol

// What the clocks of a job decide.
extension EngineSession {
  mutating func tick(jobID: String, now: MonotonicInstant) {
    guard var job = jobs[jobID] else { return }
    switch job.phase {
    case .running:
      if let progress = job.gate.release(now: now) { actions.append(.jobProgress(jobID: jobID, progress)) }
      jobs[jobID] = job
      if let deadline = job.deadlineAt, deadline <= now {
        abandon(jobID, .deadline, now: now)
      } else if job.maximumAt <= now {
        abandon(
          jobID, .failed(RPCError(.engineFault, "the job ran longer than its maximum of \(limits.job.short)")),
          now: now)
      } else if job.isStalled(now: now) {
        end(jobID, .lost(.stalled(limits.jobStall)))
        kill(.jobStalled(jobID: jobID, limits.jobStall))
      }
    case .cancelling(let until):
      if until <= now { kill(.ignoredCancel(jobID: jobID, limits.cancelGrace)) }
    case .abandoned(let until):
      if until <= now { kill(.ignoredCancel(jobID: jobID, limits.cancelGrace)) }
    }
  }

  /// Ends a job for the host and tells the engine to let go of it.
  mutating func abandon(_ jobID: String, _ end: EngineJobEnd, now: MonotonicInstant) {
    guard var job = jobs[jobID] else { return }
    job.phase = .abandoned(until: now.advanced(by: limits.cancelGrace))
    jobs[jobID] = job
    actions.append(.jobEnded(jobID: jobID, end))
    notify(Method.jobCancel, JobCancelParameters(jobID: jobID).json, urgent: true)
  }

  mutating func end(_ jobID: String, _ end: EngineJobEnd) {
    guard let job = jobs[jobID] else { return }
    forget(jobID)
    if job.isAbandoned { return }
    actions.append(.jobEnded(jobID: jobID, end))
  }

  mutating func forget(_ jobID: String) {
    guard let job = jobs.removeValue(forKey: jobID) else { return }
    pending[job.request] = nil
    counters.droppedProgress += job.gate.dropped
    if let notice = logGate.close(job: jobID) { actions.append(.log(notice)) }
  }
}
