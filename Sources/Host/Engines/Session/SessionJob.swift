import PluginProtocol

/// One job inside a session: its clocks, its sequence, its cancel.
struct SessionJob: Sendable {
  /// Successors: `running → cancelling | abandoned | ended`; `cancelling → ended`; `abandoned → ended`.
  enum Phase: Sendable, Equatable {
    case running
    /// A cancel was sent; the job ends with the answer, or with the process.
    case cancelling(until: MonotonicInstant)
    /// Ended for the host (deadline, hard maximum, broken sequence); the engine still has to let go of it.
    case abandoned(until: MonotonicInstant)
  }

  let id: String
  let request: Int64
  var phase: Phase = .running
  var gate: ProgressGate
  private let stall: Duration
  private(set) var stallAt: MonotonicInstant
  let maximumAt: MonotonicInstant
  let deadlineAt: MonotonicInstant?
  private(set) var lastSeq = 0
  private(set) var credit: Int
  private var lastProgress: JobProgress?

  init(
    id: String, request: Int64, limits: SessionLimits, deadlineAt: MonotonicInstant?, now: MonotonicInstant
  ) {
    self.id = id
    self.request = request
    stall = limits.jobStall
    stallAt = now.advanced(by: limits.jobStall)
    maximumAt = now.advanced(by: limits.job)
    self.deadlineAt = deadlineAt
    gate = ProgressGate(interval: limits.progressInterval)
    credit = limits.chunkCredit
  }

  /// Whether the host has given it up: only the engine still has to let go of it.
  var isAbandoned: Bool { if case .abandoned = phase { true } else { false } }

  /// An engine without credit waits for the host: then its silence is not a stall.
  private var waitsForCredit: Bool { lastSeq >= credit }

  /// The next instant at which something about this job has to be looked at.
  var due: MonotonicInstant {
    switch phase {
    case .running:
      var due = waitsForCredit ? maximumAt : min(stallAt, maximumAt)
      if let deadlineAt { due = min(due, deadlineAt) }
      if let gated = gate.due { due = min(due, gated) }
      return due
    case .cancelling(let until), .abandoned(let until):
      return until
    }
  }

  /// True when the stall clock has run out.
  func isStalled(now: MonotonicInstant) -> Bool { !waitsForCredit && stallAt <= now }

  /// Checks a chunk's place in the sequence. Returns what is wrong with it, or nil.
  mutating func accept(_ chunk: JobChunk, now: MonotonicInstant) -> String? {
    guard chunk.seq == lastSeq + 1 else { return "chunk \(chunk.seq) came after chunk \(lastSeq)" }
    guard chunk.seq <= credit else { return "chunk \(chunk.seq) is beyond the credit of \(credit)" }
    lastSeq = chunk.seq
    stallAt = now.advanced(by: stall)
    return nil
  }

  /// Takes progress; only a change counts as a sign of life.
  mutating func accept(_ progress: JobProgress, now: MonotonicInstant) -> JobProgress? {
    if progress != lastProgress {
      lastProgress = progress
      stallAt = now.advanced(by: stall)
    }
    return gate.take(progress, now: now)
  }

  /// Raises the credit. Returns false when it is that high already.
  mutating func raise(creditTo through: Int, now: MonotonicInstant) -> Bool {
    guard through > credit else { return false }
    if waitsForCredit { stallAt = now.advanced(by: stall) }
    credit = through
    return true
  }
}
