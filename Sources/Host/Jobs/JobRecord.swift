import GRDB
import PluginProtocol

/// The part of a job's row that its transitions are decided on.
struct JobRecord {
  let seq: Int64
  let id: JobID
  let state: JobState
  let attempt: Int
  let strikes: Int
  let cancelRequested: Bool
  let createdAt: Int64
  let coordinator: String

  /// - Throws: `unknownJob`.
  static func find(_ id: JobID, _ database: Database) throws -> JobRecord {
    let statement = try database.cachedStatement(
      sql: """
        SELECT seq, state, attempt, strikes, cancel_requested, created_at, coordinator FROM jobs WHERE id = ?
        """)
    guard let row = try Row.fetchOne(statement, arguments: [id.description]) else { throw JobStoreError.unknownJob(id) }
    return JobRecord(
      seq: row[0], id: id, state: try StoredValue.state(row[1]), attempt: row[2], strikes: row[3],
      cancelRequested: row[4], createdAt: row[5], coordinator: row[6])
  }

  /// The record when `attempt` is the job's current one and may still end; nil when it has been superseded.
  static func current(_ id: JobID, attempt: Int, _ database: Database) throws -> JobRecord? {
    let record = try find(id, database)
    return record.state == .running && record.attempt == attempt ? record : nil
  }

  /// Closes the current attempt.
  func endAttempt(_ outcome: AttemptOutcome, error: JobFailure?, at wall: Int64, _ database: Database) throws {
    let statement = try database.cachedStatement(
      sql: "UPDATE attempts SET ended_at = ?, outcome = ?, error = ? WHERE job = ? AND number = ?")
    try statement.execute(arguments: [wall, outcome.rawValue, error?.json.text, seq, attempt])
  }

  /// What a job ends with.
  struct Ending {
    var state: JobState
    var result: String?
    var artifacts: String?
    var error: JobFailure?
    var timing = JobTiming()
  }

  /// Enters a terminal state. The caller has made sure that the job is in none yet.
  func end(
    _ ending: Ending, wall: Int64, steady: Int64, _ database: Database, _ transaction: inout StoreTransaction
  ) throws {
    let statement = try database.cachedStatement(
      sql: """
        UPDATE jobs SET state = ?, result = ?, artifacts = ?, error = ?, timing = ?, finished_at = ?, retained_from = ?,
          undelivered = ?, not_before = NULL, lease_owner = NULL, lease_until = NULL
        WHERE seq = ?
        """)
    var timing = ending.timing
    if timing.queuedMs == nil { timing.queuedMs = try queuedMilliseconds(until: wall, database) }
    try statement.execute(
      arguments: [
        ending.state.rawValue, ending.result, ending.artifacts, ending.error?.json.text, timing.json.text, wall, steady,
        coordinator == "local" ? nil : 1, seq,
      ])
    transaction.moved(from: state, to: ending.state)
  }

  /// From submission to the start of the last attempt, or to the end when there was none.
  private func queuedMilliseconds(until wall: Int64, _ database: Database) throws -> Int64 {
    guard attempt > 0 else { return max(0, wall - createdAt) }
    let statement = try database.cachedStatement(sql: "SELECT started_at FROM attempts WHERE job = ? AND number = ?")
    let started = try Int64.fetchOne(statement, arguments: [seq, attempt])
    return max(0, (started ?? wall) - createdAt)
  }

  /// Goes back to the queue, not to be started before `notBefore`.
  func requeue(
    notBefore: Int64?, strikes: Int, _ database: Database, _ transaction: inout StoreTransaction
  ) throws {
    let statement = try database.cachedStatement(
      sql: """
        UPDATE jobs SET state = 'queued', not_before = ?, strikes = ?, progress = NULL,
          lease_owner = NULL, lease_until = NULL
        WHERE seq = ?
        """)
    try statement.execute(arguments: [notBefore, strikes, seq])
    transaction.moved(from: state, to: .queued)
  }
}

/// Columns back to values. What cannot be read back is damage, and is said so rather than guessed.
enum StoredValue {
  /// Wide enough for whatever `JobStoreOptions.maxInlineBytes` let in; it was parsed with closer limits before.
  private static let limits = JSONLimits(depth: 128, values: 10_000_000)

  static func state(_ text: String) throws -> JobState {
    guard let state = JobState(rawValue: text) else { throw damage("state \"\(text)\"") }
    return state
  }

  static func id(_ text: String) throws -> JobID {
    guard let id = JobID(text) else { throw damage("id \"\(text)\"") }
    return id
  }

  static func kind(_ text: String) throws -> JobKind {
    guard let kind = JobKind(rawValue: text) else { throw damage("kind \"\(text)\"") }
    return kind
  }

  static func json(_ text: String?) throws -> JSONValue? {
    guard let text else { return nil }
    do { return try JSONValue(parsing: text, limits: limits) } catch { throw damage("\(error)") }
  }

  static func damage(_ what: String) -> JobStoreError { .corrupted(path: "jobs.sqlite", reason: "unreadable \(what)") }
}
