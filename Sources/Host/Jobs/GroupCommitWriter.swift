import GRDB
import Synchronization

/// What an operation sees besides the database: the state counts as of its turn, and where it notes its own change.
///
/// Changes become the store's only when the transaction has been committed.
struct StoreTransaction {
  /// Jobs by state, this transaction's changes included.
  private(set) var counts: StateCounts

  mutating func moved(from old: JobState?, to new: JobState?) {
    if let old { counts[old] -= 1 }
    if let new { counts[new] += 1 }
  }
}

/// Jobs by state.
package struct StateCounts: Sendable, Equatable {
  private var values = Array(repeating: 0, count: JobState.allCases.count)

  package init() {}

  package subscript(state: JobState) -> Int {
    get { values[Self.index(state)] }
    set { values[Self.index(state)] = newValue }
  }

  private static func index(_ state: JobState) -> Int {
    switch state {
    case .queued: 0
    case .running: 1
    case .succeeded: 2
    case .failed: 3
    case .cancelled: 4
    }
  }
}

/// How much must have reached the disk before the caller hears of success.
enum Durability {
  /// fdatasync before the answer: it survives power loss.
  case synced
  /// Survives the death of the process; survives power loss once any later synced operation has answered.
  case relaxed
}

/// Whether an operation may be refused because the store is busy.
enum Admission {
  /// From outside, unbounded in number.
  case refusable
  /// About a running job; must not be lost.
  case always
}

/// Runs every operation on one connection, as many as are waiting in one transaction, so that they share one fsync.
///
/// All operations run in order of arrival on GRDB's serial queue. A transaction is committed before any of its callers
/// hears anything, reads included: nothing is shown that could be undone.
final class GroupCommitWriter: Sendable {
  private struct Operation: Sendable {
    let durability: Durability
    /// Runs the operation and returns how to tell the caller, to be called after the commit. It must be repeatable.
    let run: @Sendable (Database, inout StoreTransaction) throws -> @Sendable () -> Void
    let fail: @Sendable (JobStoreError) -> Void
  }

  private struct State {
    var pending: [Operation] = []
    var draining = false
    var closed = false
    /// Set when a commit failed in a way after which the connection cannot be trusted: the kernel reports a failed
    /// fsync once and may forget the pages.
    var broken: JobStoreError?
    var counts = StateCounts()
    var statistics = StoreStatistics()
  }

  /// Enough that one fsync is shared by all in flight, few enough that the first caller does not wait long.
  private static let maxBatch = 256

  private let queue: DatabaseQueue
  private let path: String
  private let maxPending: Int
  private let state = Mutex(State())
  /// Only touched on the serial queue; a mutex because the compiler cannot know that.
  private let synced = Mutex(true)

  /// The connection must be in WAL mode with `synchronous` at FULL.
  init(queue: DatabaseQueue, path: String, maxPending: Int, counts: StateCounts) {
    self.queue = queue
    self.path = path
    self.maxPending = maxPending
    state.withLock { $0.counts = counts }
  }

  var statistics: StoreStatistics { state.withLock { $0.statistics } }
  var counts: StateCounts { state.withLock { $0.counts } }

  /// Runs one operation as part of the next transaction and returns when that has been committed.
  ///
  /// `body` may run more than once, may change nothing but the database and the transaction value, and throws
  /// `JobStoreError` only before its first change: such an error leaves the transaction of the others intact.
  func perform<Value: Sendable>(
    _ durability: Durability, _ admission: Admission,
    _ body: @escaping @Sendable (Database, inout StoreTransaction) throws -> Value
  ) async throws(JobStoreError) -> Value {
    let result = await withCheckedContinuation { (waiter: CheckedContinuation<Result<Value, JobStoreError>, Never>) in
      enqueue(
        Operation(
          durability: durability,
          run: { database, transaction in
            let value = try body(database, &transaction)
            return { waiter.resume(returning: .success(value)) }
          },
          fail: { waiter.resume(returning: .failure($0)) }),
        admission)
    }
    return try result.get()
  }

  private func enqueue(_ operation: Operation, _ admission: Admission) {
    let (refusal, mustStart) = state.withLock { state -> (JobStoreError?, Bool) in
      if let broken = state.broken { return (broken, false) }
      if state.closed { return (.closed, false) }
      if admission == .refusable, state.pending.count >= maxPending {
        return (.overloaded(pending: state.pending.count), false)
      }
      state.pending.append(operation)
      if state.draining { return (nil, false) }
      state.draining = true
      return (nil, true)
    }
    if let refusal { return operation.fail(refusal) }
    if mustStart { queue.asyncWriteWithoutTransaction { [self] database in drain(database) } }
  }

  /// Refuses what comes from now on, lets what was admitted end, then closes the connection, which folds the log into
  /// the database file. Repeatable.
  func close() throws(JobStoreError) {
    state.withLock { $0.closed = true }
    do { try queue.close() } catch { throw .from(error, path: path) }
  }

  private func drain(_ database: Database) {
    // Admitted just before the close, and come to the queue just after it.
    if database.sqliteConnection == nil {
      let late = state.withLock { state in
        defer { state.pending = [] }
        state.draining = false
        return state.pending
      }
      for operation in late { operation.fail(.closed) }
      return
    }
    let start = JobClock.nanoseconds()
    while true {
      let batch = state.withLock { state -> [Operation] in
        if state.pending.count <= Self.maxBatch {
          if state.pending.isEmpty {
            state.draining = false
            state.statistics.busyNanoseconds += JobClock.nanoseconds() - start
          }
          defer { state.pending.removeAll(keepingCapacity: true) }
          return state.pending
        }
        defer { state.pending.removeFirst(Self.maxBatch) }
        return Array(state.pending.prefix(Self.maxBatch))
      }
      if batch.isEmpty { return }
      // One transaction for all, also for what need not wait for the disk: measured, a commit of its own for the latter
      // costs more jobs a second than their waiting does.
      commitTogether(batch, database)
    }
  }

  private func commitTogether(_ batch: [Operation], _ database: Database) {
    do {
      try commit(batch, database)
    } catch {
      undo(database)
      noteFailure(error)
      if batch.count == 1 {
        batch[0].fail(.from(error, path: path))
      } else {
        for operation in batch { commitAlone(operation, database) }
      }
    }
  }

  /// After a transaction failed each of its operations is tried by itself, so that only the guilty one fails.
  private func commitAlone(_ operation: Operation, _ database: Database) {
    if let broken = state.withLock({ $0.broken }) { return operation.fail(broken) }
    do {
      try commit([operation], database)
    } catch {
      undo(database)
      noteFailure(error)
      operation.fail(.from(error, path: path))
    }
  }

  private func commit(_ batch: [Operation], _ database: Database) throws {
    var transaction = StoreTransaction(counts: state.withLock { $0.counts })
    var answers: [@Sendable () -> Void] = []
    answers.reserveCapacity(batch.count)
    let mustSync = batch.contains { $0.durability == .synced }
    try setSynced(mustSync, database)
    let changesBefore = database.totalChangesCount
    try database.beginTransaction(.deferred)
    for operation in batch {
      do {
        answers.append(try operation.run(database, &transaction))
      } catch let refusal as JobStoreError {
        // Found while reading back, perhaps after a change: nothing of this transaction may stay.
        if case .corrupted = refusal { throw refusal }
        answers.append { operation.fail(refusal) }
      }
    }
    let wrote = database.totalChangesCount != changesBefore
    let start = JobClock.nanoseconds()
    try database.commit()
    let end = JobClock.nanoseconds()
    state.withLock { state in
      state.counts = transaction.counts
      state.statistics.operations += batch.count
      state.statistics.largestBatch = max(state.statistics.largestBatch, batch.count)
      guard wrote else { return }
      state.statistics.commits += 1
      guard mustSync else { return }
      state.statistics.syncedCommits += 1
      state.statistics.syncNanoseconds += end - start
    }
    for answer in answers { answer() }
  }

  /// In WAL mode FULL waits for the disk at every commit and NORMAL only at checkpoints. The pragma acts when it is
  /// prepared, so it must not be cached.
  private func setSynced(_ wanted: Bool, _ database: Database) throws {
    guard synced.withLock({ $0 }) != wanted else { return }
    try database.execute(sql: wanted ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")
    synced.withLock { $0 = wanted }
  }

  /// SQLite undoes some failures (a full disk, an I/O error) itself, so a transaction may be gone already.
  private func undo(_ database: Database) {
    state.withLock { $0.statistics.rollbacks += 1 }
    guard database.isInsideTransaction else { return }
    do { try database.rollback() } catch { noteFailure(error) }
  }

  private func noteFailure(_ error: any Error) {
    guard let error = error as? DatabaseError else { return }
    let fatal: [ResultCode] = [.SQLITE_IOERR_FSYNC, .SQLITE_IOERR_DIR_FSYNC]
    if fatal.contains(error.extendedResultCode) {
      let reason = "the disk refused to confirm a write; restart stoker (\(error.message ?? "fsync failed"))"
      state.withLock { $0.broken = .storage(reason: reason) }
    } else if error.resultCode == .SQLITE_CORRUPT || error.resultCode == .SQLITE_NOTADB {
      StoreFiles.suspect(database: path)
      state.withLock { $0.broken = .from(error, path: path) }
    }
  }
}
