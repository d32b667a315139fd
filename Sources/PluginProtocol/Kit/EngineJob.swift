import Synchronization

/// One job in the hands of an engine. Valid until `run` returns; what is sent later is dropped.
public final class EngineJob: Sendable {
  /// The job's params. A task that came as a file stands in `task`, as any other.
  public var parameters: JobRunParameters {
    var parameters = sent
    if let task = loadedTask.withLock({ $0 }) { parameters.task = task }
    return parameters
  }

  private let sent: JobRunParameters
  private let loadedTask = Mutex<JSONValue?>(nil)

  private struct State {
    var credit: Int
    var sent = 0
    var ended = false
    var cancelled = false
    /// At most one: chunks of a job have one sender.
    var waiting: CheckedContinuation<Void, Never>?
  }

  private let state: Mutex<State>
  private let cancelled = Atomic<Bool>(false)
  private let features: Set<Feature>
  private let wire: WireWriter

  init(parameters: JobRunParameters, features: Set<Feature>, wire: WireWriter) {
    sent = parameters
    self.features = features
    self.wire = wire
    state = Mutex(State(credit: parameters.credit))
  }

  /// The job's id.
  public var id: String { sent.jobID }
  /// The kind: `llm`, `audio_tts` …
  public var kind: String { sent.kind }
  /// The id of the model that was asked for, when the host named one.
  public var modelID: String? { sent.model?.id }
  /// The parameters of the work.
  public var task: JSONValue { loadedTask.withLock { $0 } ?? sent.task }
  /// The task, for reading typed members with errors that name them; throws `bad_input`.
  public func taskFields() throws -> FieldReader { try FieldReader(task, path: "task") }
  /// Absolute path of the directory for this job's files; empty at first but for the inputs.
  public var workDirectory: String { sent.workDirectory }

  /// True as soon as the host has cancelled the job. Cheap; any thread.
  public var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

  /// Throws `EngineError(.cancelled)` when the host has cancelled the job.
  public func checkCancelled() throws {
    if isCancelled { throw EngineError(.cancelled, "the job was cancelled") }
  }

  /// Sends progress, unless host or engine lack the feature. The host shows the latest and drops what comes too often.
  public func progress(
    fraction: Double? = nil, step: Int? = nil, steps: Int? = nil, stage: String? = nil, message: String? = nil,
    etaSeconds: Double? = nil
  ) {
    guard features.contains(.progress), !hasEnded else { return }
    wire.send(
      .notification(
        method: Method.jobProgress,
        params: JobProgress(
          jobID: id, fraction: fraction, step: step, steps: steps, stage: stage, message: message,
          etaSeconds: etaSeconds
        ).json), if: { !hasEnded })
  }

  /// Sends a piece of the result, in order. Waits while the host's credit is used up; throws when the job is
  /// cancelled. Does nothing else where host or engine lack the feature. Call it from one place at a time. Runs where its caller runs: a compute thread is not left for it.
  nonisolated(nonsending) public func chunk(text: String) async throws { try await chunk(text: text, data: nil) }

  /// Sends a piece of the result that is not plain text.
  nonisolated(nonsending) public func chunk(data: JSONValue) async throws { try await chunk(text: nil, data: data) }

  nonisolated(nonsending) private func chunk(text: String?, data: JSONValue?) async throws {
    while true {
      try checkCancelled()
      guard features.contains(.chunks) else { return }
      let seq: Int? = state.withLock { state in
        guard state.sent < state.credit, !state.ended else { return state.ended ? 0 : nil }
        state.sent += 1
        return state.sent
      }
      if let seq {
        guard seq > 0 else { return }
        wire.send(
          .notification(method: Method.jobChunk, params: JobChunk(jobID: id, seq: seq, text: text, data: data).json),
          if: { !hasEnded })
        return
      }
      await withCheckedContinuation { continuation in
        let resumeNow: Bool = state.withLock { state in
          if state.cancelled || state.ended || state.sent < state.credit { return true }
          state.waiting = continuation
          return false
        }
        if resumeNow { continuation.resume() }
      }
    }
  }

  /// Writes to the host's log, with this job's id.
  public func log(_ level: LogMessage.Level, _ message: String, fields: JSONValue = .null) {
    wire.send(
      .notification(
        method: Method.log, params: LogMessage(level: level, message: message, jobID: id, fields: fields).json))
  }

  /// Reads the task that the host has put into a file. Blocks; nothing to do when the task came with the message.
  func loadTask() throws(EngineError) {
    guard let name = sent.taskFile else { return }
    let task = try ContentFile.readTask(name, in: workDirectory)
    loadedTask.withLock { $0 = task }
  }

  func raiseCredit(through: Int) {
    let waiting = state.withLock { state in
      state.credit = max(state.credit, through)
      return state.waiting.take()
    }
    waiting?.resume()
  }

  func cancel() {
    cancelled.store(true, ordering: .relaxed)
    let waiting = state.withLock { state in
      state.cancelled = true
      return state.waiting.take()
    }
    waiting?.resume()
  }

  private var hasEnded: Bool { state.withLock { $0.ended } }

  /// After this no chunk and no progress of the job is sent any more, whichever thread it comes from: the terminal
  /// message, which follows, is the last.
  func end() {
    let waiting = state.withLock { state in
      state.ended = true
      return state.waiting.take()
    }
    waiting?.resume()
  }
}
