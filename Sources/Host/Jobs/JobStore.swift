import GRDB
import PluginProtocol
import Synchronization

/// The durable record of all jobs of one worker: what was acknowledged survives `kill -9` and power loss.
///
/// One process owns a store at a time. All operations may be called from any task; they take effect in the order in
/// which they arrive and answer when they are as durable as their documentation says. A job enters exactly one
/// terminal state, once: an attempt's result is recorded only while that attempt is the job's current one.
package final class JobStore: Sendable {
  /// The directory that holds `jobs.sqlite`, `stoker.lock`, `jobs/` and `work/`.
  package let directory: String
  package let options: JobStoreOptions
  /// What opening found and repaired.
  package let openReport: OpenReport
  /// Files of jobs and attempts.
  package let artifacts: ArtifactStore

  let clock: JobClock
  let steady: SteadyTime
  let writer: GroupCommitWriter
  let reader: StoreReader
  private let ids: JobIDGenerator
  private let lock: Mutex<StoreLock?>

  /// Opens the store in `directory`, creating what is missing, and settles what a former life left behind.
  ///
  /// Jobs that ran go back to the queue, or to `failed` or `cancelled`; directories without a job are removed. A damaged
  /// database is kept aside under a new name, said so in `openReport`, and a fresh one is begun.
  ///
  /// - Throws: `alreadyInUse`, `notWritable`, `diskFull`, `newerSchema`, `storage`.
  package static func open(
    directory: String, options: JobStoreOptions = JobStoreOptions(), artifactLimits: ArtifactLimits = ArtifactLimits(),
    clock: JobClock = .system
  ) throws(JobStoreError) -> JobStore {
    let files = try StoreFiles(directory: directory)
    let lock = try StoreLock(path: files.lock)
    let steady = SteadyTime(clock)
    var report = OpenReport()
    let (queue, recovered) = try connectOrBeginAnew(
      files, options: options, clock: clock, steadyNow: steady.now, report: &report)
    let artifacts = try ArtifactStore(directory: directory, limits: artifactLimits)
    report.requeued = recovered.requeued
    report.failed = recovered.failed
    report.cancelled = recovered.cancelled
    report.orphanedDirectories = artifacts.sweep(keeping: recovered.directories)
    return JobStore(
      files: files, lock: lock, queue: queue, reader: try StoreReader(path: files.database), options: options,
      report: report, artifacts: artifacts, clock: clock, steady: steady, recovered: recovered)
  }

  private init(
    files: StoreFiles, lock: consuming StoreLock, queue: DatabaseQueue, reader: StoreReader,
    options: JobStoreOptions, report: OpenReport, artifacts: ArtifactStore, clock: JobClock, steady: SteadyTime,
    recovered: StoreRecovery.Outcome
  ) {
    directory = files.directory
    self.options = options
    openReport = report
    self.artifacts = artifacts
    self.clock = clock
    self.steady = steady
    ids = JobIDGenerator(after: recovered.lastID, wallMilliseconds: clock.wallMilliseconds)
    writer = GroupCommitWriter(
      queue: queue, path: files.database, maxPending: options.maxPendingOperations, counts: recovered.counts)
    self.reader = reader
    self.lock = Mutex(lock)
  }

  /// Ends the store in order: later operations throw `closed`, the log is folded into the database, the lock is given
  /// back. Call it after the last running job has been handed back or recorded; repeatable.
  package func close() throws(JobStoreError) {
    reader.close()
    try writer.close()
    lock.withLock { $0 = nil }
  }

  package var statistics: StoreStatistics { writer.statistics }

  /// Jobs by state, as of the last commit.
  package var counts: StateCounts { writer.counts }

  /// An id for a job that is yet to be submitted, for a caller that puts the job's input files in place first.
  package func newID() -> JobID { ids.next() }

  private static func connectOrBeginAnew(
    _ files: StoreFiles, options: JobStoreOptions, clock: JobClock, steadyNow: Int64, report: inout OpenReport
  ) throws(JobStoreError) -> (DatabaseQueue, StoreRecovery.Outcome) {
    func connectAndRecover(check: Bool) throws(JobStoreError) -> (DatabaseQueue, StoreRecovery.Outcome) {
      let queue = try connect(files, check: check)
      do {
        let recovery = StoreRecovery(options: options, wallNow: clock.wallMilliseconds(), steadyNow: steadyNow)
        return (queue, try queue.write(recovery.run))
      } catch {
        throw .from(error, path: files.database)
      }
    }
    report.checkedAfterCrash = files.mustCheck
    do throws(JobStoreError) {
      return try connectAndRecover(check: report.checkedAfterCrash)
    } catch .corrupted(_, let reason) {
      report.corruptedKept = try files.setAside(unixTime: clock.wallMilliseconds() / 1000)
      report.corruption = reason
      return try connectAndRecover(check: false)
    }
  }

  private static func connect(_ files: StoreFiles, check: Bool) throws(JobStoreError) -> DatabaseQueue {
    try files.prepareDatabase()
    do {
      var configuration = Configuration()
      configuration.label = "stoker.jobs"
      configuration.journalMode = .wal
      // A backup or a curious `sqlite3` may hold the file for a moment.
      configuration.busyMode = .timeout(5)
      let queue = try DatabaseQueue(path: files.database, configuration: configuration)
      try queue.inDatabase { database in
        try database.execute(sql: "PRAGMA synchronous=FULL")
        if check {
          let verdict = try String.fetchAll(database, sql: "PRAGMA quick_check(1)")
          guard verdict == ["ok"] else {
            throw JobStoreError.corrupted(path: files.database, reason: verdict.first ?? "no verdict")
          }
        }
        guard try !JobSchema.migrator.hasBeenSuperseded(database) else {
          throw JobStoreError.newerSchema(path: files.database)
        }
      }
      try JobSchema.migrator.migrate(queue)
      files.trusted()
      return queue
    } catch {
      throw .from(error, path: files.database)
    }
  }
}
