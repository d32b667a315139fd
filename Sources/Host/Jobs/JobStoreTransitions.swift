import GRDB
import PluginProtocol

/// What became of a submit.
package enum SubmitResult: Sendable, Equatable {
  case created(JobID)
  /// The same request was submitted before under the same idempotency key.
  case existing(JobID)

  package var id: JobID {
    switch self {
    case .created(let id), .existing(let id): id
    }
  }
}

/// How an attempt ended by its engine's own answer.
package enum AttemptEnd: Sendable, Equatable {
  case success(result: JSONValue, artifacts: [JobArtifact])
  case failure(JobFailure)
  case cancelled
}

/// What became of an attempt's end.
package enum FinishResult: Sendable, Equatable {
  /// The job is now in this state. A job whose cancel was requested is `cancelled` whatever its engine answered.
  case recorded(JobState)
  /// The attempt was no longer the job's current one: nothing was changed, nothing of it may be shown.
  case superseded
}

/// What became of a job whose attempt was lost.
package enum LossResult: Sendable, Equatable {
  /// Back in the queue, as it stands there now.
  case requeued(QueuedJob)
  /// It failed for good, or was cancelled.
  case ended(JobState)
  case superseded
}

package enum CancelResult: Sendable, Equatable {
  /// It was queued and is now in its terminal state.
  case cancelled
  /// It runs: that attempt is to be stopped and reported with `finish` or `loseAttempt`.
  case requested(attempt: Int)
  case alreadyFinished(JobState)
}

extension JobStore {
  /// Records a job. When this returns it survives power loss.
  ///
  /// - Parameter id: Made by `newID` beforehand; nil makes one.
  /// - Throws: `invalidRequest`, `tooLarge`, `queueFull`, `idempotencyConflict`, `overloaded`.
  package func submit(_ request: JobRequest, id: JobID? = nil) async throws(JobStoreError) -> SubmitResult {
    let checked = try CheckedRequest(request, maxTaskBytes: options.maxInlineBytes)
    let id = id ?? newID()
    let now = clock.wallMilliseconds()
    let deadline = request.deadlineSeconds.map { steady.now + Int64($0 * 1000) }
    let limit = options.maxQueued
    return try await writer.perform(.synced, .refusable) { database, transaction in
      if let key = request.idempotencyKey {
        let statement = try database.cachedStatement(
          sql: "SELECT id, request_hash FROM jobs WHERE coordinator = ? AND idempotency_key = ?")
        if let row = try Row.fetchOne(statement, arguments: [request.coordinator, key]) {
          let existing = try StoredValue.id(row[0])
          guard row[1] == checked.hash else { throw JobStoreError.idempotencyConflict(key: key, job: existing) }
          return .existing(existing)
        }
      }
      guard transaction.counts[.queued] < limit else { throw JobStoreError.queueFull(limit: limit) }
      let statement = try database.cachedStatement(
        sql: """
          INSERT INTO jobs (id, kind, model, state, priority, task, labels, idempotency_key, request_hash, coordinator,
            remote_id, created_at, deadline_at)
          VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)
          """)
      try statement.execute(
        arguments: [
          id.description, request.kind.rawValue, request.model, request.priority, checked.task, checked.labels,
          request.idempotencyKey, checked.hash, request.coordinator, request.remoteID, now, deadline,
        ])
      transaction.moved(from: nil, to: .queued)
      return .created(id)
    }
  }

  /// Begins the next attempt of a queued job and returns its number.
  ///
  /// Survives the death of this process at once, power loss only with the next synced operation: after a power loss the
  /// job may be queued again under the same attempt number, whose engine has then gone with the power.
  ///
  /// - Parameter model: The model the scheduler chose, recorded when the job named none.
  /// - Throws: `unknownJob`, `notQueued`.
  package func claim(
    _ id: JobID, engine: String, pid: Int32?, model: String? = nil
  ) async throws(JobStoreError) -> Int {
    let now = clock.wallMilliseconds()
    return try await writer.perform(.relaxed, .always) { database, transaction in
      let record = try JobRecord.find(id, database)
      guard record.state == .queued else { throw JobStoreError.notQueued(id, state: record.state) }
      let number = record.attempt + 1
      try database.cachedStatement(
        sql: """
          UPDATE jobs SET state = 'running', attempt = ?, not_before = NULL, model = coalesce(model, ?) WHERE seq = ?
          """
      ).execute(arguments: [number, model, record.seq])
      try database.cachedStatement(
        sql: "INSERT INTO attempts (job, number, engine, pid, started_at) VALUES (?, ?, ?, ?, ?)"
      ).execute(arguments: [record.seq, number, engine, pid, now])
      transaction.moved(from: .queued, to: .running)
      return number
    }
  }

  /// Keeps the latest progress of a running attempt for `job(_:)`; of a superseded attempt it is ignored.
  ///
  /// Not synced. The caller coalesces: this is for a few updates a second, not for every message.
  package func noteProgress(_ id: JobID, attempt: Int, _ progress: JSONValue) async throws(JobStoreError) {
    let text = progress.text
    guard text.utf8.count <= 65_536 else {
      throw .tooLarge(what: "the progress", bytes: text.utf8.count, limit: 65_536)
    }
    try await writer.perform(.relaxed, .refusable) { database, _ in
      try database.cachedStatement(
        sql: "UPDATE jobs SET progress = ? WHERE id = ? AND attempt = ? AND state = 'running'"
      ).execute(arguments: [text, id.description, attempt])
    }
  }

  /// Records how an attempt ended, and with it the job. When this returns the terminal state survives power loss.
  ///
  /// `attempt` is the fence: an attempt that was cancelled, expired, lost or followed by another gets `superseded`.
  /// Artifacts must have been taken before (`ArtifactStore.take`).
  ///
  /// - Throws: `unknownJob`; `tooLarge` for a result above `maxInlineBytes`, after which the job still runs and the
  ///   caller finishes it with a failure.
  package func finish(
    _ id: JobID, attempt: Int, _ end: AttemptEnd, timing: JobTiming = JobTiming()
  ) async throws(JobStoreError) -> FinishResult {
    var ending: JobRecord.Ending
    var outcome: AttemptOutcome
    switch end {
    case .success(let result, let artifacts):
      let text = result.text
      guard text.utf8.count <= options.maxInlineBytes else {
        throw .tooLarge(what: "the result", bytes: text.utf8.count, limit: options.maxInlineBytes)
      }
      let list = artifacts.isEmpty ? nil : JSONValue.array(artifacts.map(\.json)).text
      ending = JobRecord.Ending(state: .succeeded, result: text, artifacts: list)
      outcome = .succeeded
    case .failure(let failure):
      ending = JobRecord.Ending(state: .failed, error: failure)
      outcome = .failed
    case .cancelled:
      ending = JobRecord.Ending(state: .cancelled)
      outcome = .cancelled
    }
    ending.timing = timing
    let (wall, steadyNow) = (clock.wallMilliseconds(), steady.now)
    let result: FinishResult = try await writer.perform(.synced, .always) { [ending, outcome] database, transaction in
      guard let record = try JobRecord.current(id, attempt: attempt, database) else { return .superseded }
      let isCancelled = record.cancelRequested || ending.state == .cancelled
      try record.endAttempt(
        isCancelled ? .cancelled : outcome, error: isCancelled ? nil : ending.error, at: wall, database)
      let final = isCancelled ? JobRecord.Ending(state: .cancelled, timing: ending.timing) : ending
      try record.end(final, wall: wall, steady: steadyNow, database, &transaction)
      return .recorded(final.state)
    }
    if case .recorded = result { await artifacts.removeInputs(of: id) }
    return result
  }

  /// Records that an attempt ended without a verdict on the job: its engine died, stalled, or gave the job back.
  ///
  /// The job goes back to the queue. It ends instead as `cancelled` when that was requested, and as `failed` with
  /// `failure` when the attempt counts and was the last allowed one.
  ///
  /// - Parameters:
  ///   - requeueAfter: Seconds before which the job is not to be started again.
  ///   - countsAgainstJob: False when the job cannot be blamed, as for one that shared a killed engine.
  package func loseAttempt(
    _ id: JobID, attempt: Int, outcome: AttemptOutcome, failure: JobFailure, requeueAfter seconds: Double = 0,
    countsAgainstJob: Bool = true
  ) async throws(JobStoreError) -> LossResult {
    let (wall, steadyNow) = (clock.wallMilliseconds(), steady.now)
    let notBefore = seconds > 0 ? steadyNow + Int64(min(seconds, 86_400) * 1000) : nil
    let maxAttempts = options.maxAttempts
    let result: LossResult = try await writer.perform(.synced, .always) { database, transaction in
      guard let record = try JobRecord.current(id, attempt: attempt, database) else { return .superseded }
      try record.endAttempt(record.cancelRequested ? .cancelled : outcome, error: failure, at: wall, database)
      let strikes = record.strikes + (countsAgainstJob ? 1 : 0)
      if record.cancelRequested || strikes >= maxAttempts && countsAgainstJob {
        let state: JobState = record.cancelRequested ? .cancelled : .failed
        let ending = JobRecord.Ending(state: state, error: state == .failed ? failure : nil)
        try record.end(ending, wall: wall, steady: steadyNow, database, &transaction)
        return .ended(state)
      }
      try record.requeue(notBefore: notBefore, strikes: strikes, database, &transaction)
      return .requeued(try QueuedJob.find(record.seq, steadyNow: steadyNow, database))
    }
    if case .ended = result { await artifacts.removeInputs(of: id) }
    return result
  }

  /// Asks for a job to be cancelled; idempotent at any moment. When this returns the wish survives power loss.
  ///
  /// - Throws: `unknownJob`.
  package func requestCancel(_ id: JobID) async throws(JobStoreError) -> CancelResult {
    let (wall, steadyNow) = (clock.wallMilliseconds(), steady.now)
    let result: CancelResult = try await writer.perform(.synced, .always) { database, transaction in
      let record = try JobRecord.find(id, database)
      if record.state.isTerminal { return .alreadyFinished(record.state) }
      if !record.cancelRequested {
        try database.cachedStatement(sql: "UPDATE jobs SET cancel_requested = 1 WHERE seq = ?")
          .execute(arguments: [record.seq])
      }
      guard record.state == .queued else { return .requested(attempt: record.attempt) }
      let ending = JobRecord.Ending(state: .cancelled)
      try record.end(ending, wall: wall, steady: steadyNow, database, &transaction)
      return .cancelled
    }
    if case .cancelled = result { await artifacts.removeInputs(of: id) }
    return result
  }
}
