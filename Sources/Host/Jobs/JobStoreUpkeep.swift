import GRDB
import PluginProtocol

/// Jobs that a deadline or a lease has overtaken.
package struct ExpiryReport: Sendable, Equatable {
  /// Queued jobs that failed with class `deadline` in this call.
  package var failed: [JobID] = []
  /// Running jobs past their deadline: the attempt is to be stopped and finished with a failure of class `deadline`.
  package var running: [AttemptReference] = []
  /// Milliseconds from now to the next deadline of an unfinished job; nil when there is none.
  package var nextInMs: Int64?
}

/// One attempt of one job.
package struct AttemptReference: Sendable, Hashable {
  package var job: JobID
  package var attempt: Int

  package init(job: JobID, attempt: Int) {
    self.job = job
    self.attempt = attempt
  }
}

extension JobStore {
  /// Fails the queued jobs whose deadline has passed and names the running ones. Judged by the monotonic clock.
  package func expireDeadlines() async throws(JobStoreError) -> ExpiryReport {
    let (wall, steadyNow) = (clock.wallMilliseconds(), steady.now)
    let report: ExpiryReport = try await writer.perform(.synced, .always) { database, transaction in
      var report = ExpiryReport()
      let due = try database.cachedStatement(
        sql: """
          SELECT id FROM jobs WHERE deadline_at <= ? AND retained_from IS NULL ORDER BY deadline_at
          """)
      for text in try String.fetchAll(due, arguments: [steadyNow]) {
        let record = try JobRecord.find(try StoredValue.id(text), database)
        guard record.state == .queued else {
          report.running.append(AttemptReference(job: record.id, attempt: record.attempt))
          continue
        }
        let failure = JobFailure(
          errorClass: "deadline",
          message: record.attempt == 0
            ? "the deadline passed before an engine was free" : "the deadline passed before another attempt could start"
        )
        let ending = JobRecord.Ending(state: .failed, error: failure)
        try record.end(ending, wall: wall, steady: steadyNow, database, &transaction)
        report.failed.append(record.id)
      }
      let next = try database.cachedStatement(
        sql: "SELECT min(deadline_at) FROM jobs WHERE deadline_at > ? AND retained_from IS NULL")
      report.nextInMs = try Int64.fetchOne(next, arguments: [steadyNow]).map { $0 - steadyNow }
      return report
    }
    for id in report.failed { await artifacts.removeInputs(of: id) }
    return report
  }

  /// Removes finished jobs beyond the retention policy, at most `limit` in one call, and their directories.
  ///
  /// The rows go first: a crash in between leaves directories without a job, which the next start removes.
  ///
  /// - Returns: The jobs removed. Call again until none is.
  package func prune(limit: Int = 500) async throws(JobStoreError) -> [JobID] {
    let (policy, steadyNow) = (options.retention, steady.now)
    let removed = try await writer.perform(.synced, .always) { database, transaction in
      let counts = transaction.counts
      let finished = counts[.succeeded] + counts[.failed] + counts[.cancelled]
      let aged = try database.cachedStatement(
        sql: """
          SELECT seq, id, state FROM jobs
          WHERE retained_from < ? AND retained_from IS NOT NULL AND (undelivered IS NOT 1 OR retained_from < ?)
          ORDER BY retained_from, seq LIMIT ?
          """)
      var rows = try Row.fetchAll(
        aged,
        arguments: [
          steadyNow - policy.maxAgeSeconds * 1000, steadyNow - policy.maxUndeliveredAgeSeconds * 1000, limit,
        ])
      if rows.isEmpty, finished > policy.maxCount {
        let oldest = try database.cachedStatement(
          sql: """
            SELECT seq, id, state FROM jobs WHERE retained_from IS NOT NULL AND undelivered IS NOT 1
            ORDER BY retained_from, seq LIMIT ?
            """)
        rows = try Row.fetchAll(oldest, arguments: [min(limit, finished - policy.maxCount)])
      }
      let delete = try database.cachedStatement(sql: "DELETE FROM jobs WHERE seq = ?")
      return try rows.map { row in
        try delete.execute(arguments: [row[0] as Int64])
        transaction.moved(from: try StoredValue.state(row[2]), to: nil)
        return try StoredValue.id(row[1])
      }
    }
    await artifacts.remove(removed)
    return removed
  }

  /// Sets or renews the lease of a running attempt, from now. False when the attempt has been superseded.
  ///
  /// A job's own host judges its leases by the monotonic clock, so a wall clock that jumps lapses none; only a later
  /// life, which has nothing else, reads the stored time against the wall clock.
  package func renewLease(
    _ id: JobID, attempt: Int, owner: String, seconds: Double
  ) async throws(JobStoreError) -> Bool {
    let until = steady.now + Int64(min(max(seconds, 0), 31_622_400) * 1000)
    return try await writer.perform(.relaxed, .always) { database, _ in
      guard let record = try JobRecord.current(id, attempt: attempt, database) else { return false }
      try database.cachedStatement(sql: "UPDATE jobs SET lease_owner = ?, lease_until = ? WHERE seq = ?")
        .execute(arguments: [owner, until, record.seq])
      return true
    }
  }

  /// Running attempts whose lease has lapsed. The caller stops them and reports them with `loseAttempt`.
  package func lapsedLeases() async throws(JobStoreError) -> [AttemptReference] {
    try await writer.perform(.relaxed, .always) { [steady] database, _ in
      let statement = try database.cachedStatement(
        sql: """
          SELECT id, attempt FROM jobs
          WHERE lease_until <= ? AND lease_until IS NOT NULL AND retained_from IS NULL AND state = 'running'
          """)
      return try Row.fetchAll(statement, arguments: [steady.now]).map {
        AttemptReference(job: try StoredValue.id($0[0]), attempt: $0[1])
      }
    }
  }

  /// The outbox: finished jobs of a remote coordinator that it has not acknowledged, oldest first.
  package func undelivered(coordinator: String, limit: Int = 100) async throws(JobStoreError) -> [Job] {
    try await writer.perform(.relaxed, .always) { database, _ in
      let statement = try database.cachedStatement(
        sql: JobReader.columns + "WHERE coordinator = ? AND undelivered = 1 ORDER BY seq LIMIT ?")
      return try Row.fetchAll(statement, arguments: [coordinator, limit]).map { try JobReader.job($0, database) }
    }
  }

  /// Takes a finished job out of the outbox; repeatable. Without effect on a local job.
  ///
  /// - Throws: `unknownJob`, `notFinished`.
  package func acknowledge(_ id: JobID) async throws(JobStoreError) {
    try await writer.perform(.synced, .always) { database, _ in
      let record = try JobRecord.find(id, database)
      guard record.state.isTerminal else { throw JobStoreError.notFinished(id, state: record.state) }
      try database.cachedStatement(sql: "UPDATE jobs SET undelivered = 0 WHERE seq = ? AND undelivered = 1")
        .execute(arguments: [record.seq])
    }
  }
}
