import GRDB
import PluginProtocol

/// What a scheduler needs to know of a queued job.
package struct QueuedJob: Sendable, Equatable {
  package var id: JobID
  package var kind: JobKind
  package var model: String?
  package var priority: Int
  package var coordinator: String
  /// Wall time in milliseconds since 1970.
  package var createdAt: Int64
  /// Milliseconds from the query to the deadline; negative when it has passed.
  package var deadlineInMs: Int64?
  /// Milliseconds from the query before which the job is not to be started; nil for at once.
  package var startableInMs: Int64?
  /// Attempts so far.
  package var attempts: Int

  private static let columns =
    "SELECT id, kind, model, priority, coordinator, created_at, deadline_at, not_before, attempt FROM jobs "

  static func find(_ seq: Int64, steadyNow: Int64, _ database: Database) throws -> QueuedJob {
    let statement = try database.cachedStatement(sql: columns + "WHERE seq = ?")
    guard let row = try Row.fetchOne(statement, arguments: [seq]) else { throw StoredValue.damage("job \(seq)") }
    return try QueuedJob(row, steadyNow: steadyNow)
  }

  static func all(steadyNow: Int64, _ database: Database) throws -> [QueuedJob] {
    let statement = try database.cachedStatement(
      sql: columns + "WHERE state = 'queued' ORDER BY priority DESC, seq")
    var jobs: [QueuedJob] = []
    let rows = try Row.fetchCursor(statement)
    while let row = try rows.next() { jobs.append(try QueuedJob(row, steadyNow: steadyNow)) }
    return jobs
  }

  private init(_ row: Row, steadyNow: Int64) throws {
    id = try StoredValue.id(row[0])
    kind = try StoredValue.kind(row[1])
    model = row[2]
    priority = row[3]
    coordinator = row[4]
    createdAt = row[5]
    deadlineInMs = (row[6] as Int64?).map { $0 - steadyNow }
    startableInMs = (row[7] as Int64?).flatMap { $0 > steadyNow ? $0 - steadyNow : nil }
    attempts = row[8]
  }
}

/// Which jobs a listing shows.
package struct JobFilter: Sendable, Equatable {
  package var state: JobState?
  package var kind: JobKind?
  package var coordinator: String?
  /// Only jobs submitted before this one: the last of the page before.
  package var before: JobID?
  /// At most 1,000.
  package var limit: Int

  package init(
    state: JobState? = nil, kind: JobKind? = nil, coordinator: String? = nil, before: JobID? = nil, limit: Int = 100
  ) {
    self.state = state
    self.kind = kind
    self.coordinator = coordinator
    self.before = before
    self.limit = limit
  }
}

extension JobStore {
  /// Every queued job, in the order in which they should start: for the scheduler's own start.
  package func queuedIndex() async throws(JobStoreError) -> [QueuedJob] {
    try await writer.perform(.relaxed, .always) { [steady] database, _ in
      try QueuedJob.all(steadyNow: steady.now, database)
    }
  }

  /// - Throws: `unknownJob`.
  package func job(_ id: JobID) async throws(JobStoreError) -> Job {
    try await reader.read { database in
      let statement = try database.cachedStatement(sql: JobReader.columns + "WHERE id = ?")
      guard let row = try Row.fetchOne(statement, arguments: [id.description]) else {
        throw JobStoreError.unknownJob(id)
      }
      return try JobReader.job(row, database)
    }
  }

  /// The parameters as the store keeps them: inputs that were staged, and a task that is a file, stand there by their
  /// marks. What an engine is to see comes from `InputStage.prepare`.
  ///
  /// - Throws: `unknownJob`.
  package func task(_ id: JobID) async throws(JobStoreError) -> JSONValue { try await storedTask(id).task }

  /// The parameters as the store keeps them, and where the job came from.
  ///
  /// - Throws: `unknownJob`.
  func storedTask(_ id: JobID) async throws(JobStoreError) -> (task: JSONValue, coordinator: String) {
    let (text, coordinator) = try await reader.read { database in
      let statement = try database.cachedStatement(sql: "SELECT task, coordinator FROM jobs WHERE id = ?")
      guard let row = try Row.fetchOne(statement, arguments: [id.description]) else {
        throw JobStoreError.unknownJob(id)
      }
      return (row[0] as String, row[1] as String)
    }
    // Parsed here, off the writer's queue: a task may be a megabyte.
    do { return (try StoredValue.json(text) ?? .null, coordinator) } catch { throw .from(error, path: directory) }
  }

  /// Jobs, newest first. For the next page pass the last job's id as `before`.
  package func jobs(_ filter: JobFilter = JobFilter()) async throws(JobStoreError) -> [Job] {
    try await reader.read { database in
      var conditions: [String] = []
      var arguments: [(any DatabaseValueConvertible)?] = []
      func require(_ condition: String, _ value: (any DatabaseValueConvertible)?) {
        guard let value else { return }
        conditions.append(condition)
        arguments.append(value)
      }
      require("state = ?", filter.state?.rawValue)
      require("kind = ?", filter.kind?.rawValue)
      require("coordinator = ?", filter.coordinator)
      if let before = filter.before { require("seq < ?", try JobRecord.find(before, database).seq) }
      let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
      let statement = try database.cachedStatement(
        sql: JobReader.columns + condition + " ORDER BY seq DESC LIMIT \(min(max(filter.limit, 0), 1000))")
      return try Row.fetchAll(statement, arguments: StatementArguments(arguments)).map {
        try JobReader.job($0, database)
      }
    }
  }

  /// The job that a coordinator knows under this name; the newest, when it offered the name more than once.
  package func job(coordinator: String, remoteID: String) async throws(JobStoreError) -> Job? {
    try await reader.read { database in
      let statement = try database.cachedStatement(
        sql: JobReader.columns + "WHERE coordinator = ? AND remote_id = ? ORDER BY seq DESC LIMIT 1")
      return try Row.fetchOne(statement, arguments: [coordinator, remoteID]).map { try JobReader.job($0, database) }
    }
  }
}

/// Rows to jobs.
enum JobReader {
  static let columns = """
    SELECT seq, id, kind, model, state, progress, result, artifacts, error, timing, priority, labels, coordinator,
      remote_id, cancel_requested, created_at, deadline_at, finished_at, lease_owner, lease_until FROM jobs\u{20}
    """

  static func job(_ row: Row, _ database: Database) throws -> Job {
    let state = try StoredValue.state(row[4])
    let artifacts = try StoredValue.json(row[7])?.array ?? []
    let lease: JobLease? =
      if let owner = row[18] as String?, let until = row[19] as Int64? { JobLease(owner: owner, until: until) } else {
        nil
      }
    return Job(
      id: try StoredValue.id(row[1]), kind: try StoredValue.kind(row[2]), model: row[3], state: state,
      attempts: try attempts(row[0], database), progress: state == .running ? try StoredValue.json(row[5]) : nil,
      result: try StoredValue.json(row[6]),
      artifacts: try artifacts.map { json in
        guard let artifact = JobArtifact(json: json) else { throw StoredValue.damage("artifact") }
        return artifact
      },
      error: try StoredValue.json(row[8]).flatMap(JobFailure.init(json:)),
      timing: JobTiming(json: try StoredValue.json(row[9]) ?? .null), priority: row[10],
      labels: (try StoredValue.json(row[11])?.object ?? [:]).compactMapValues(\.string), coordinator: row[12],
      remoteID: row[13], cancelRequested: row[14], createdAt: row[15], deadlineAt: row[16], finishedAt: row[17],
      lease: lease)
  }

  private static func attempts(_ job: Int64, _ database: Database) throws -> [JobAttempt] {
    let statement = try database.cachedStatement(
      sql: """
        SELECT number, engine, pid, started_at, ended_at, outcome, error FROM attempts WHERE job = ? ORDER BY number
        """)
    return try Row.fetchAll(statement, arguments: [job]).map { row in
      let outcome = try (row[5] as String?).map { text in
        guard let outcome = AttemptOutcome(rawValue: text) else { throw StoredValue.damage("outcome \"\(text)\"") }
        return outcome
      }
      return JobAttempt(
        number: row[0], engine: row[1], pid: row[2], startedAt: row[3], endedAt: row[4], outcome: outcome,
        error: try StoredValue.json(row[6]).flatMap(JobFailure.init(json:)))
    }
  }
}
