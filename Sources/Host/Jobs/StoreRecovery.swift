import GRDB

/// Settles, at the start of a life, what the former one left behind.
struct StoreRecovery {
  let options: JobStoreOptions
  let wallNow: Int64
  let steadyNow: Int64

  struct Outcome {
    var requeued = 0
    var failed = 0
    var cancelled = 0
    var counts = StateCounts()
    var lastID: JobID?
    /// Jobs whose directory stays, and which attempt's artifacts in it do; nil for none.
    var directories: [JobID: Int?] = [:]
  }

  /// Every running job's attempt is `lost`: nothing of the former life works on it any more. Runs in one transaction.
  func run(_ database: Database) throws -> Outcome {
    var outcome = Outcome()
    var transaction = StoreTransaction(counts: StateCounts())
    let running = try Row.fetchAll(database, sql: "SELECT id, host_losses FROM jobs WHERE state = 'running'")
    for row in running {
      let record = try JobRecord.find(try StoredValue.id(row[0]), database)
      let losses: Int = row[1] + 1
      try database.execute(sql: "UPDATE jobs SET host_losses = ? WHERE seq = ?", arguments: [losses, record.seq])
      let failure = JobFailure(
        errorClass: "lost", message: "the host ended while this attempt ran", evidence: nil)
      try record.endAttempt(record.cancelRequested ? .cancelled : .lost, error: failure, at: wallNow, database)
      if record.cancelRequested {
        outcome.cancelled += 1
        let ending = JobRecord.Ending(state: .cancelled)
        try record.end(ending, wall: wallNow, steady: steadyNow, database, &transaction)
      } else if losses > options.maxHostLosses {
        outcome.failed += 1
        let last = JobFailure(
          errorClass: "lost",
          message:
            "the host ended \(losses) times while this job ran; it is not tried again, submit it anew if it is safe"
        )
        let ending = JobRecord.Ending(state: .failed, error: last)
        try record.end(ending, wall: wallNow, steady: steadyNow, database, &transaction)
      } else {
        outcome.requeued += 1
        try record.requeue(notBefore: nil, strikes: record.strikes, database, &transaction)
      }
    }
    for row in try Row.fetchAll(database, sql: "SELECT state, count(*) FROM jobs GROUP BY state") {
      outcome.counts[try StoredValue.state(row[0])] = row[1]
    }
    outcome.lastID = try String.fetchOne(database, sql: "SELECT id FROM jobs ORDER BY seq DESC LIMIT 1")
      .map(StoredValue.id)
    let kept = try Row.fetchCursor(
      database,
      sql: """
        SELECT id, CASE WHEN artifacts IS NULL THEN NULL ELSE attempt END FROM jobs
        WHERE artifacts IS NOT NULL OR state = 'queued'
        """)
    while let row = try kept.next() {
      outcome.directories.updateValue(row[1] as Int?, forKey: try StoredValue.id(row[0]))
    }
    return outcome
  }
}
