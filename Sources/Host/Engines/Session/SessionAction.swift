import PluginProtocol

/// What the driver of a session has to do, in order.
package enum SessionAction: Sendable, Equatable {
  /// Queue a frame for the engine's stdin.
  case send(OutboundFrame)
  /// The handshake is done.
  case ready(EngineDescription)
  /// Host and engine cannot talk: the plugin is of no use until it changes.
  case incompatible(String)
  case jobProgress(jobID: String, JobProgress)
  case jobChunk(jobID: String, JobChunk)
  /// The only terminal event of a job, exactly once.
  case jobEnded(jobID: String, EngineJobEnd)
  case loadProgress(ModelProgress)
  case loadEnded(model: String, Result<ModelLoadResult, RPCError>)
  case unloadEnded(model: String, RPCError?)
  case pong
  /// The engine has answered `shutdown`.
  case farewell
  /// A `log` message of the engine.
  case log(LogMessage)
  /// A line on stdout that is not a message.
  case noise(String)
  /// Something the protocol forbids. Counted; `evidence` is the beginning of the line.
  case protocolError(String, evidence: String)
  /// End the process; its jobs have ended already or end with it.
  case kill(KillReason)
}

/// What the handshake has agreed on.
package struct EngineDescription: Sendable, Equatable {
  package var name: String
  package var version: String
  package var protocolVersion: Int
  package var abilities: Abilities
  /// Jobs at a time.
  package var concurrency: Int
  /// Narrower than the manifest's models when the engine said so.
  package var models: [String]?
  /// Line cap in force, both ways.
  package var lineBytes: Int
}

/// Version and feature list become named abilities here, and nowhere else.
package struct Abilities: Sendable, Equatable {
  package var sendsChunks: Bool
  package var reportsProgress: Bool
  package var keepsModels: Bool
  /// Takes large tasks from a file and gives large outputs in one.
  package var takesContentFiles: Bool

  package init(version: Int, features: [String]) {
    let names = Set(features)
    sendsChunks = names.contains(Feature.chunks.rawValue)
    reportsProgress = names.contains(Feature.progress.rawValue)
    keepsModels = names.contains(Feature.modelResidency.rawValue)
    takesContentFiles = names.contains(Feature.contentFiles.rawValue)
  }
}

/// How a job ended in an engine.
package enum EngineJobEnd: Sendable, Equatable {
  case succeeded(JobRunResult)
  case failed(RPCError)
  /// Cancelled at the host's wish; a result that came all the same has been dropped.
  case cancelled
  /// Its deadline passed. The engine has been told to stop.
  case deadline
  /// The process went away, or had to be killed, for a reason that may not be this job's.
  case lost(LossReason)
}

/// Why a job lost its engine.
package enum LossReason: Sendable, Equatable {
  /// The process died; the text is the diagnosis.
  case died(String)
  /// The job itself stood still for this long, and the engine was killed for it.
  case stalled(Duration)
  /// The engine was killed for another reason: for another job's sake, when that was a job that stalled.
  case killed(KillReason)
  /// The engine never saw the job: it was leaving, or gone, before the job could be begun.
  case notBegun(String)
}

/// Why the host kills an engine.
package enum KillReason: Sendable, Equatable, CustomStringConvertible {
  case startTimeout(Duration)
  case jobStalled(jobID: String, Duration)
  case ignoredCancel(jobID: String, Duration)
  case loadStalled(model: String, Duration)
  case loadTooLong(model: String, Duration)
  case unloadStalled(model: String, Duration)
  case pingUnanswered(Duration)
  case noise(Int)
  case protocolErrors(Int, last: String)
  case partialLine(Duration)
  case stdinStalled(Duration)
  case closedOutput
  case closedInput
  case badHandshake(String)
  case tooManyProcesses(Int)
  case diskQuota(used: Int64, limit: Int64)

  package var description: String {
    switch self {
    case .startTimeout(let time): "did not answer initialize within \(time.short)"
    case .jobStalled(let job, let time): "job \(job) made no progress for \(time.short)"
    case .ignoredCancel(let job, let time): "did not stop job \(job) within \(time.short) of the cancel"
    case .loadStalled(let model, let time): "loading \(model) stood still for \(time.short)"
    case .loadTooLong(let model, let time): "loading \(model) took longer than \(time.short)"
    case .unloadStalled(let model, let time): "did not unload \(model) within \(time.short)"
    case .pingUnanswered(let time): "did not answer a ping within \(time.short)"
    case .noise(let count): "more than \(count) lines a minute on stdout that are no messages: did you print to stdout?"
    case .protocolErrors(let count, let last): "more than \(count) protocol errors a minute; the last: \(last)"
    case .partialLine(let time): "a line on stdout stayed without its end for \(time.short)"
    case .stdinStalled(let time): "did not read its stdin for \(time.short)"
    case .closedOutput: "closed its stdout and lived on"
    case .closedInput: "closed its stdin and lived on"
    case .tooManyProcesses(let limit): "became more than \(limit) processes (limits.processes)"
    case .diskQuota(let used, let limit):
      "took \(ByteSize.text(used)) of disk, more than the \(ByteSize.text(limit)) of jobs.maxWorkBytes"
    case .badHandshake(let what): "answered initialize wrongly: \(what)"
    }
  }
}

extension Duration {
  /// For messages: `1.5 s`, `20 ms`.
  package var short: String {
    let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    if milliseconds < 1000 { return "\(milliseconds) ms" }
    if milliseconds % 1000 == 0 { return "\(milliseconds / 1000) s" }
    return "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s"
  }
}
