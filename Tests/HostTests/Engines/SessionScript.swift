import PluginProtocol
import Testing

@testable import Host

/// A session under test: no process, no pipe, a clock that moves by hand. Everything it asked for is kept.
struct SessionScript {
  var session: EngineSession
  let clock = ManualHostClock()
  /// All actions so far.
  private(set) var log: [SessionAction] = []
  /// Ids of the latest `job/run` of each job.
  private(set) var requests: [String: Int64] = [:]

  /// A session that has shaken hands, unless `ready` is false.
  init(_ limits: SessionLimits = SessionLimits(), ready: Bool = true, concurrency: Int = 4) {
    session = EngineSession(limits: limits)
    guard ready else { return }
    start()
    answer(1, SessionScript.welcome(concurrency: concurrency))
  }

  static func welcome(version: Int = 1, concurrency: Int = 4, lineBytes: Int? = nil) -> JSONValue {
    InitializeResult(
      protocolVersion: version, engine: PeerVersion(name: "scripted", version: "1"),
      features: ["chunks", "progress", "model-residency"], concurrency: concurrency, lineBytes: lineBytes
    ).json
  }

  static func offer(versions: [Int] = [1], lineBytes: Int = LineFramer.maximumLineBytes) -> InitializeParameters {
    InitializeParameters(
      protocolVersions: versions, host: PeerVersion(name: "test", version: "1"), features: [],
      directories: EngineDirectories(models: "/m", cache: "/c", work: "/w"), resources: EngineResources(),
      lineBytes: lineBytes)
  }

  // MARK: Commands

  @discardableResult
  mutating func note(_ actions: [SessionAction]) -> [SessionAction] {
    log += actions
    for action in actions {
      guard case .request(.number(let id), "job/run", let params)? = action.sent, let job = params["jobId"]?.string
      else { continue }
      requests[job] = id
    }
    return actions
  }
  @discardableResult
  mutating func start(_ offer: InitializeParameters = offer()) -> [SessionAction] {
    note(session.start(offer, now: clock.now()))
  }
  @discardableResult
  mutating func run(_ job: String, attempt: Int = 1, deadline: Duration? = nil, task: JSONValue = [:])
    -> [SessionAction]
  {
    note(
      session.run(
        JobRunParameters(jobID: job, attempt: attempt, kind: "llm", task: task, workDirectory: "/w/\(job)"),
        deadline: deadline, now: clock.now()))
  }
  @discardableResult
  mutating func cancel(_ job: String) -> [SessionAction] { note(session.cancel(jobID: job, now: clock.now())) }
  @discardableResult
  mutating func credit(_ job: String, through: Int) -> [SessionAction] {
    note(session.credit(jobID: job, through: through, now: clock.now()))
  }
  @discardableResult
  mutating func load(_ model: String) -> [SessionAction] {
    note(session.load(ModelReference(id: model), now: clock.now()))
  }
  @discardableResult
  mutating func died() -> [SessionAction] { note(session.ended("exit status 1")) }

  /// Moves the clock and looks at it.
  @discardableResult
  mutating func pass(_ time: Duration) -> [SessionAction] {
    clock.advance(by: time)
    return note(session.tick(now: clock.now()))
  }

  // MARK: The engine's side

  @discardableResult
  mutating func line(_ text: String) -> [SessionAction] { event(.line(Array(text.utf8))) }
  @discardableResult
  mutating func event(_ event: LineFramer.Event) -> [SessionAction] { note(session.receive(event, now: clock.now())) }
  @discardableResult
  mutating func answer(_ id: Int64, _ result: JSONValue) -> [SessionAction] {
    line(Envelope.response(id: .number(id), result: result).json.text)
  }
  @discardableResult
  mutating func refuse(_ id: Int64, _ error: RPCError) -> [SessionAction] {
    line(Envelope.failure(id: .number(id), error: error).json.text)
  }
  @discardableResult
  mutating func chunk(_ job: String, _ seq: Int, text: String = "x") -> [SessionAction] {
    line(Envelope.notification(method: "job/chunk", params: JobChunk(jobID: job, seq: seq, text: text).json).json.text)
  }
  @discardableResult
  mutating func progress(_ job: String, step: Int? = nil, message: String? = nil) -> [SessionAction] {
    let progress = JobProgress(jobID: job, step: step, message: message)
    return line(Envelope.notification(method: "job/progress", params: progress.json).json.text)
  }
  /// A good result of a job's latest request.
  @discardableResult
  mutating func finish(_ job: String, _ text: String = "done") throws -> [SessionAction] {
    answer(try request(job), ["output": ["text": .string(text)]])
  }

  // MARK: What was asked for

  /// The id of the latest `job/run` of a job.
  func request(_ job: String) throws -> Int64 {
    try #require(requests[job], "job \(job) was never sent")
  }

  func ends(of job: String) -> [EngineJobEnd] {
    log.compactMap { action in
      guard case .jobEnded(job, let end) = action else { return nil }
      return end
    }
  }

  var kills: [KillReason] { log.compactMap { action in if case .kill(let reason) = action { reason } else { nil } } }
}

extension SessionAction {
  var sent: Envelope? {
    guard case .send(let frame) = self, frame.bytes.last == 0x0A,
      let json = try? JSONValue(parsing: Array(frame.bytes.dropLast()))
    else { return nil }
    return try? Envelope(json)
  }
}

extension [SessionAction] {
  var methods: [String] {
    compactMap { action in
      switch action.sent {
      case .request(_, let method, _), .notification(let method, _): method
      default: nil
      }
    }
  }
}
