import Glibc
import Synchronization

/// Serves one engine over a pair of descriptors: the whole of the protocol on the engine's side.
///
/// A thread of its own reads the wire, so that cancel, credit and ping are acted on at once whatever the jobs do;
/// everything that calls the engine runs as a child task of `run`.
public final class EngineServer<E: Engine>: Sendable {
  /// Why `run` returned.
  public enum Ending: Equatable, Sendable {
    /// The host asked for it, and has its answer.
    case shutdown
    /// The host closed the wire.
    case endOfInput
  }

  private enum Work: Sendable {
    case initialize(RequestID, InitializeParameters, version: Int)
    case load(RequestID, ModelReference)
    case unload(RequestID, String)
    case job(RequestID, EngineJob)
    case ended(Ending, RequestID?)
  }

  /// How far the handshake is. Successors: fresh → greeting → ready; greeting → fresh when the engine refuses.
  private enum Phase: Sendable {
    case fresh, greeting, ready
  }

  private let engine: E
  private let input: CInt
  private let wire: WireWriter
  private let jobs = Mutex<[String: EngineJob]>([:])
  private let lineLimit: Mutex<Int>
  private let phase = Mutex(Phase.fresh)
  /// What the engine uses and the host offered.
  private let agreed = Mutex<Set<Feature>>([])

  /// - Parameters:
  ///   - input: a blocking descriptor to read from; the caller keeps owning it.
  ///   - output: a blocking descriptor to write to; the caller keeps owning it.
  public init(_ engine: E, input: CInt, output: CInt) {
    self.engine = engine
    self.input = input
    wire = WireWriter(descriptor: output)
    lineLimit = Mutex(LineFramer.defaultLineBytes)
  }

  /// Serves until the host asks for shutdown or closes the wire. Jobs still running then are cancelled and waited
  /// for.
  public func run() async -> Ending { await run(atEndOfInput: {}) }

  /// As `run()`; `atEndOfInput` is called on the reader's thread once the host has closed the wire and the jobs have
  /// been told, whether or not they obey.
  func run(atEndOfInput: @escaping @Sendable () -> Void) async -> Ending {
    let (work, feed) = AsyncStream.makeStream(of: Work.self)
    let reader = ReaderThread { [self] in
      let ending = self.read { feed.yield($0) }
      feed.finish()
      if ending == .endOfInput { atEndOfInput() }
    }
    reader.start()
    return await withTaskGroup(of: Void.self) { group in
      for await item in work {
        if case .ended(let ending, let id) = item {
          for job in jobs.withLock({ Array($0.values) }) { job.cancel() }
          guard ending == .shutdown else {
            group.cancelAll()
            return ending
          }
          await group.waitForAll()
          await engine.shutdown()
          if let id { wire.send(.response(id: id, result: [:])) }
          return ending
        }
        group.addTask { await self.perform(item) }
      }
      return .endOfInput
    }
  }

  // MARK: Reading

  private func read(_ yield: (Work) -> Void) -> Ending {
    var framer = LineFramer()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count = Glibc.read(input, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        // Told here too: the task that serves may be slow to get its turn.
        for job in jobs.withLock({ Array($0.values) }) { job.cancel() }
        yield(.ended(.endOfInput, nil))
        return .endOfInput
      }
      framer.limit = lineLimit.withLock { $0 }
      var ended = false
      framer.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { event in
        if !ended { ended = receive(event, yield) }
      }
      if ended { return .shutdown }
    }
  }

  /// Acts on one line. Returns true after a shutdown request: nothing that follows is read.
  private func receive(_ event: LineFramer.Event, _ yield: (Work) -> Void) -> Bool {
    let line: [UInt8]
    switch event {
    case .line(let bytes): line = bytes
    case .overlong(let length, _):
      reply(nil, RPCError(code: RPCError.invalidRequestCode, message: "a line of \(length) bytes is over the cap"))
      return false
    }
    guard line.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { return false }
    do {
      switch try Envelope(try JSONValue(parsing: line)) {
      case .request(let id, let method, let params):
        return receive(id, method, params, yield)
      case .notification(let method, let params):
        try receive(method, params)
      case .response, .failure:
        break
      }
    } catch let error as JSONParseError {
      reply(nil, RPCError(code: RPCError.parseErrorCode, message: error.description))
    } catch let error as EnvelopeError {
      reply(nil, RPCError(code: RPCError.invalidRequestCode, message: error.description))
    } catch {
      wire.send(
        .notification(method: Method.log, params: LogMessage(level: .warn, message: "ignored: \(error)").json))
    }
    return false
  }

  private func receive(_ method: String, _ params: JSONValue) throws {
    switch method {
    case Method.jobCancel:
      let id = try JobCancelParameters(params).jobID
      jobs.withLock { $0[id] }?.cancel()
    case Method.jobCredit:
      let credit = try JobCreditParameters(params)
      jobs.withLock { $0[credit.jobID] }?.raiseCredit(through: credit.through)
    default:
      break  // A notification of a later version; ignored by contract.
    }
  }

  private func receive(_ id: RequestID, _ method: String, _ params: JSONValue, _ yield: (Work) -> Void) -> Bool {
    do {
      switch method {
      case Method.ping:
        wire.send(.response(id: id, result: [:]))
      case Method.shutdown:
        yield(.ended(.shutdown, id))
        return true
      case Method.initialize:
        initialize(id, try InitializeParameters(params), yield)
      case Method.modelLoad, Method.modelUnload, Method.jobRun:
        guard phase.withLock({ $0 == .ready }) else {
          reply(id, RPCError(code: RPCError.invalidRequestCode, message: "\(method) before initialize was answered"))
          return false
        }
        try accept(id, method, params, yield)
      default:
        reply(id, RPCError(code: RPCError.methodNotFoundCode, message: "unknown method \(method)"))
      }
    } catch {
      reply(id, RPCError(code: RPCError.invalidParamsCode, message: "\(method): \(error)"))
    }
    return false
  }

  private func accept(_ id: RequestID, _ method: String, _ params: JSONValue, _ yield: (Work) -> Void) throws {
    switch method {
    case Method.modelLoad:
      yield(.load(id, try ModelLoadParameters(params).model))
    case Method.modelUnload:
      yield(.unload(id, try ModelUnloadParameters(params).id))
    default:
      // Registered here, so that a cancel right behind it finds the job.
      let features = agreed.withLock { $0 }
      let job = EngineJob(parameters: try JobRunParameters(params), features: features, wire: wire)
      let isNew = jobs.withLock { jobs in
        guard jobs[job.id] == nil else { return false }
        jobs[job.id] = job
        return true
      }
      guard isNew else {
        reply(id, RPCError(code: RPCError.invalidParamsCode, message: "job \(job.id) is already running"))
        return
      }
      yield(.job(id, job))
    }
  }

  private func initialize(_ id: RequestID, _ parameters: InitializeParameters, _ yield: (Work) -> Void) {
    let common = Set(parameters.protocolVersions).intersection(Method.protocolVersions)
    guard let version = common.max() else {
      reply(
        id,
        RPCError(
          .unsupported,
          "no common protocol version: the host speaks \(parameters.protocolVersions), "
            + "this engine \(Method.protocolVersions)"))
      return
    }
    let isFirst = phase.withLock { phase in
      defer { if phase == .fresh { phase = .greeting } }
      return phase == .fresh
    }
    guard isFirst else {
      reply(id, RPCError(code: RPCError.invalidRequestCode, message: "initialize was sent before"))
      return
    }
    if let agreed = agreedLineBytes(parameters) { lineLimit.withLock { $0 = agreed } }
    yield(.initialize(id, parameters, version: version))
  }

  /// The line cap of both directions from the answer on; nil when the engine has no wish.
  private func agreedLineBytes(_ parameters: InitializeParameters) -> Int? {
    engine.information.lineBytes.map { wish in
      max(LineFramer.defaultLineBytes, min(wish, parameters.lineBytes, LineFramer.maximumLineBytes))
    }
  }

  private func reply(_ id: RequestID?, _ error: RPCError) { wire.send(.failure(id: id, error: error)) }

  // MARK: Working

  private func perform(_ work: Work) async {
    switch work {
    case .initialize(let id, let parameters, let version):
      await answer(id) {
        let information = engine.information
        var next = Phase.fresh
        defer { phase.withLock { $0 = next } }
        let models = try await engine.initialize(parameters)
        next = .ready
        // The kit itself does content-files for every engine.
        let own = information.features.filter { $0 != .contentFiles } + [.contentFiles]
        let features = own.filter { parameters.features.contains($0.rawValue) }
        agreed.withLock { $0 = Set(features) }
        return InitializeResult(
          protocolVersion: version, engine: PeerVersion(name: information.name, version: information.version),
          features: features.map(\.rawValue), concurrency: information.concurrency, models: models,
          lineBytes: agreedLineBytes(parameters)
        ).json
      }
    case .load(let id, let model):
      await answer(id) {
        try await engine.load(model, progress: ModelProgressReporter(model: model.id, wire: wire)).json
      }
    case .unload(let id, let model):
      await answer(id) {
        try await engine.unload(model)
        return [:]
      }
    case .job(let id, let job):
      await answer(id) {
        defer {
          job.end()
          jobs.withLock { $0[job.id] = nil }
        }
        try job.checkCancelled()
        try job.loadTask()
        return try wireResult(try await engine.run(job), in: job.workDirectory)
      }
    case .ended:
      break
    }
  }

  /// The result as it goes over the wire: an output that is too large for that becomes a file.
  private func wireResult(_ result: JobRunResult, in directory: String) throws -> JSONValue {
    guard agreed.withLock({ $0.contains(.contentFiles) }), result.outputFile == nil else { return result.json }
    let bytes = result.output.bytes
    guard bytes.count > ContentLimits.inlineBytes else { return result.json }
    var result = result
    result.outputFile = try ContentFile.writeOutput(bytes, in: directory)
    return result.json
  }

  private func answer(_ id: RequestID, _ body: () async throws -> JSONValue) async {
    do {
      wire.send(.response(id: id, result: try await body()))
    } catch let error as EngineError {
      reply(id, RPCError(error.failure, error.message, evidence: error.evidence))
    } catch let error as FieldError {
      reply(id, RPCError(.badInput, error.description))
    } catch is CancellationError {
      reply(id, RPCError(.cancelled, "the job was cancelled"))
    } catch {
      reply(id, RPCError(.engineFault, "\(error)"))
    }
  }
}
