import PluginProtocol

// How everything that is open ends, and how frames are made.
extension EngineSession {
  mutating func kill(_ reason: KillReason) {
    guard phase != .ended else { return }
    finish { _ in .killed(reason) }
    actions.append(.kill(reason))
  }

  /// Every job, load and unload ends; jobs being cancelled end as cancelled.
  mutating func finish(_ reason: (String) -> LossReason) {
    guard phase != .ended else { return }
    phase = .ended
    for notice in logGate.closeAll() { actions.append(.log(notice)) }
    inHandAtEnd = jobs.count + loads.count
    for job in jobs.values {
      counters.droppedProgress += job.gate.dropped
      switch job.phase {
      case .running: actions.append(.jobEnded(jobID: job.id, .lost(reason(job.id))))
      case .cancelling: actions.append(.jobEnded(jobID: job.id, .cancelled))
      case .abandoned: break
      }
    }
    jobs.removeAll()
    for job in held {
      actions.append(
        .jobEnded(jobID: job.parameters.jobID, .lost(.notBegun("the engine went away before the job began"))))
    }
    held.removeAll()
    due.removeAll()
    let gone = RPCError(.engineFault, "the engine went away: \(reason("").text)")
    for request in pending.values {
      switch request {
      case .load(let model): actions.append(.loadEnded(model: model, .failure(gone)))
      case .unload(let model): actions.append(.unloadEnded(model: model, gone))
      case .initialize, .run, .ping, .shutdown: break
      }
    }
    pending.removeAll()
    loads.removeAll()
  }

  // MARK: Frames

  mutating func request(_ kind: Pending, _ method: String, _ params: JSONValue, urgent: Bool = false) {
    let id = nextRequest
    nextRequest += 1
    pending[id] = kind
    actions.append(
      .send(
        OutboundFrame(bytes: Envelope.request(id: .number(id), method: method, params: params).frame, urgent: urgent)))
  }

  mutating func notify(_ method: String, _ params: JSONValue, urgent: Bool) {
    actions.append(
      .send(OutboundFrame(bytes: Envelope.notification(method: method, params: params).frame, urgent: urgent)))
  }
}

extension EngineSession.Phase {
  var isStarting: Bool { if case .starting = self { true } else { false } }
}

extension LossReason {
  /// The reason in words, for the job's history.
  package var text: String {
    switch self {
    case .died(let diagnosis): diagnosis
    case .stalled(let time): "no progress for \(time.short)"
    case .killed(let reason): "the engine was killed: \(reason)"
    case .notBegun(let why): why
    }
  }
}
