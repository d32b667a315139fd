/// Where a job stands. `succeeded`, `failed` and `cancelled` are terminal: a job enters exactly one of them, once.
package enum JobState: String, Sendable, CaseIterable {
  /// Waits for an engine. Followed by `running`, `failed` (its deadline passed) or `cancelled`.
  case queued
  /// One attempt is under way. Followed by any terminal state, or by `queued` when the attempt was lost.
  case running
  case succeeded
  case failed
  case cancelled

  package var isTerminal: Bool { self != .queued && self != .running }
}

/// How one attempt ended. An attempt without an outcome is under way.
package enum AttemptOutcome: String, Sendable, CaseIterable {
  /// Its result is the job's result.
  case succeeded
  /// The engine answered with an error.
  case failed
  /// The job was cancelled while the attempt ran.
  case cancelled
  /// The engine or the host died, or the engine never answered.
  case lost
  /// A clock ended it: the deadline, the stall clock or the hard maximum.
  case expired
  /// Another owner took the job, or the host gave it back.
  case superseded
}
