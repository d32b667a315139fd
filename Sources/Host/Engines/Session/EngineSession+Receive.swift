import PluginProtocol

// What the engine's lines mean.
extension EngineSession {
  mutating func receive(line: [UInt8], now: MonotonicInstant) {
    guard line.first == UInt8(ascii: "{") else {
      receive(noise: line, now: now)
      return
    }
    let message: Envelope
    do {
      message = try Envelope(try JSONValue(parsing: line))
    } catch {
      violation("\(error)", line, now: now)
      return
    }
    switch message {
    case .response(let id, let result): receive(id, .success(result), line, now: now)
    case .failure(let id, let error):
      guard let id else {
        violation("the engine reports: \(error.message)", line, now: now)
        return
      }
      receive(id, .failure(error), line, now: now)
    case .notification(let method, let params):
      do {
        try receive(method, params, line, now: now)
      } catch {
        violation("\(method): \(error)", line, now: now)
      }
    case .request(let id, let method, _):
      counters.unknown += 1
      let refusal = RPCError(code: RPCError.methodNotFoundCode, message: "the host answers no requests: \(method)")
      actions.append(.send(OutboundFrame(bytes: Envelope.failure(id: id, error: refusal).frame)))
    }
  }

  mutating func receive(noise line: [UInt8], now: MonotonicInstant) {
    guard line.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { return }
    counters.noise += 1
    if noiseBudget.take(now: now) {
      actions.append(.noise(EngineSession.evidence(line)))
    } else {
      kill(.noise(limits.noisePerMinute))
    }
  }

  mutating func receive(overlong length: Int, _ prefix: [UInt8], now: MonotonicInstant) {
    guard prefix.first == UInt8(ascii: "{") else {
      receive(noise: prefix, now: now)
      return
    }
    let what = "a line of \(length) bytes is over the cap of \(description?.lineBytes ?? LineFramer.defaultLineBytes)"
    violation(what, prefix, now: now)
    guard phase != .ended else { return }
    let failure = RPCError(.engineFault, what)
    switch OverlongLine(prefix) {
    case .response(let id): receive(.number(id), .failure(failure), prefix, now: now)
    case .notification(let jobID?):
      if jobs[jobID]?.phase == .running { abandon(jobID, .failed(failure), now: now) }
    // Where nothing says whose it was, there is no doubt with one job; with several the clocks will tell.
    case .notification(nil):
      if let job = onlyJob { abandon(job.id, .failed(failure), now: now) }
    case .unknown:
      // Most likely a long answer whose id comes last.
      if let job = onlyJob { receive(.number(job.request), .failure(failure), prefix, now: now) }
    }
  }

  private var onlyJob: SessionJob? { jobs.count == 1 ? jobs.values.first { $0.phase == .running } : nil }

  mutating func violation(_ what: String, _ line: [UInt8], now: MonotonicInstant) {
    counters.protocolErrors += 1
    let evidence = EngineSession.evidence(line)
    actions.append(.protocolError(what, evidence: evidence))
    if !errorBudget.take(now: now) {
      kill(.protocolErrors(limits.protocolErrorsPerMinute, last: "\(what): \(evidence.prefix(200))"))
    }
  }

  /// What comes too late, or from nowhere: dropped and counted. The log gets some of it.
  mutating func dropped(_ what: String, _ line: [UInt8], now: MonotonicInstant) {
    counters.late += 1
    if lateBudget.take(now: now) {
      actions.append(.protocolError("\(what), dropped", evidence: EngineSession.evidence(line)))
    }
  }

  static func evidence(_ line: [UInt8]) -> String { String(decoding: line.prefix(1024), as: UTF8.self) }

  // MARK: Messages

  mutating func receive(
    _ method: String, _ params: JSONValue, _ line: [UInt8], now: MonotonicInstant
  ) throws(FieldError) {
    switch method {
    case Method.jobProgress:
      let progress = try JobProgress(params)
      guard var job = jobs[progress.jobID], job.phase == .running else {
        counters.late += 1
        return
      }
      if let passed = job.accept(progress, now: now) {
        actions.append(.jobProgress(jobID: job.id, passed))
      }
      jobs[progress.jobID] = job
    case Method.jobChunk:
      let chunk = try JobChunk(params)
      guard var job = jobs[chunk.jobID] else {
        dropped("a chunk of a job that does not run", line, now: now)
        return
      }
      guard job.phase == .running else {
        counters.late += 1
        return
      }
      let wrong = job.accept(chunk, now: now)
      jobs[chunk.jobID] = job
      if let wrong {
        violation(wrong, line, now: now)
        abandon(job.id, .failed(RPCError(.engineFault, "the engine broke the order of chunks: \(wrong)")), now: now)
      } else {
        actions.append(.jobChunk(jobID: job.id, chunk))
      }
    case Method.modelProgress:
      let progress = try ModelProgress(params)
      guard loads[progress.model] != nil else {
        counters.late += 1
        return
      }
      loads[progress.model]?.stallAt = now.advanced(by: limits.loadStall)
      actions.append(.loadProgress(progress))
    case Method.log:
      let message = try LogMessage(params)
      let job = message.jobID.flatMap { jobs[$0] == nil ? nil : $0 }
      for passed in logGate.take(message, job: job, now: now) { actions.append(.log(passed)) }
      counters.droppedLogs = logGate.dropped
    default:
      counters.unknown += 1
    }
  }

  mutating func receive(
    _ id: RequestID, _ answer: Result<JSONValue, RPCError>, _ line: [UInt8], now: MonotonicInstant
  ) {
    guard case .number(let number) = id, let request = pending.removeValue(forKey: number) else {
      dropped("an answer to no request that is open", line, now: now)
      return
    }
    due[number] = nil
    switch request {
    case .initialize: receive(handshake: answer)
    case .run(let jobID): receive(jobID: jobID, answer, line, now: now)
    case .load(let model):
      loads[model] = nil
      actions.append(.loadEnded(model: model, result(answer, line, now: now) { try ModelLoadResult($0) }))
    case .unload(let model):
      if case .failure(let error) = answer {
        actions.append(.unloadEnded(model: model, error))
      } else {
        actions.append(.unloadEnded(model: model, nil))
      }
    case .ping: actions.append(.pong)
    case .shutdown: actions.append(.farewell)
    }
  }

  mutating func result<T>(
    _ answer: Result<JSONValue, RPCError>, _ line: [UInt8], now: MonotonicInstant, _ read: (JSONValue) throws -> T
  ) -> Result<T, RPCError> {
    switch answer {
    case .failure(let error): return .failure(error)
    case .success(let json):
      do {
        return .success(try read(json))
      } catch {
        violation("\(error)", line, now: now)
        return .failure(RPCError(.engineFault, "the engine answered wrongly: \(error)"))
      }
    }
  }

  mutating func receive(
    jobID: String, _ answer: Result<JSONValue, RPCError>, _ line: [UInt8], now: MonotonicInstant
  ) {
    guard var job = jobs[jobID] else { return }
    defer { beginHeld(now: now) }
    guard job.phase == .running else {
      end(jobID, .cancelled)
      return
    }
    if let progress = job.gate.release(now: now, flush: true) {
      actions.append(.jobProgress(jobID: jobID, progress))
    }
    jobs[jobID] = job
    switch result(answer, line, now: now, { try JobRunResult($0) }) {
    case .success(let result): end(jobID, .succeeded(result))
    case .failure(let error):
      if error.failureClass == .cancelled, phase == .closing {
        end(jobID, .lost(.died("the engine was stopped")))
      } else if error.failureClass == .cancelled {
        end(jobID, .failed(RPCError(.engineFault, "the engine cancelled a job that nobody asked it to cancel")))
      } else {
        end(jobID, .failed(error))
      }
    }
  }

  mutating func receive(handshake answer: Result<JSONValue, RPCError>) {
    guard phase.isStarting else { return }
    switch answer {
    case .failure(let error) where error.failureClass == .unsupported:
      incompatible(error.message)
    case .failure(let error):
      kill(.badHandshake(error.message))
    case .success(let json):
      // Without a version that can be read there is none in common: to start it again would change nothing.
      guard json["protocolVersion"]?.int != nil else {
        incompatible("it named \(json["protocolVersion"].map { "the version \($0.text.prefix(64))" } ?? "no version")")
        return
      }
      let result: InitializeResult
      do {
        result = try InitializeResult(json)
      } catch {
        kill(.badHandshake("\(error)"))
        return
      }
      guard offer.versions.contains(result.protocolVersion) else {
        incompatible("it chose version \(result.protocolVersion)")
        return
      }
      let lineBytes = min(
        max(result.lineBytes ?? LineFramer.defaultLineBytes, LineFramer.defaultLineBytes),
        max(offer.lineBytes, LineFramer.defaultLineBytes))
      let agreed = EngineDescription(
        name: result.engine.name, version: result.engine.version, protocolVersion: result.protocolVersion,
        abilities: Abilities(version: result.protocolVersion, features: result.features),
        concurrency: result.concurrency, models: result.models, lineBytes: lineBytes)
      description = agreed
      phase = .ready
      actions.append(.ready(agreed))
    }
  }

  mutating func incompatible(_ detail: String) {
    let mine = offer.versions.map(String.init).joined(separator: ", ")
    actions.append(.incompatible("no common protocol version: the host speaks \(mine); the engine says: \(detail)"))
    kill(.badHandshake("no common protocol version"))
  }
}
