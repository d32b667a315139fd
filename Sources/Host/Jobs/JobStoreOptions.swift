/// The limits of a job store.
package struct JobStoreOptions: Sendable {
  /// Queued jobs at a time; a submit beyond it is refused.
  package var maxQueued: Int
  /// Bytes of a task, or of a result, kept in the database. Larger content belongs in files.
  package var maxInlineBytes: Int
  /// Attempts that count as failures before a job fails for good.
  package var maxAttempts: Int
  /// Starts of the host that may find one job running. A job above it is taken for the cause of the host's deaths.
  /// Kept apart from `maxAttempts`, because most jobs that a dying host leaves behind are innocent.
  package var maxHostLosses: Int
  /// Operations waiting for the disk at which submits and queries are refused. Operations on running jobs always
  /// pass: their number is bounded by the jobs that run.
  package var maxPendingOperations: Int
  package var retention: RetentionPolicy

  package init(
    maxQueued: Int = 100_000, maxInlineBytes: Int = 1 << 20, maxAttempts: Int = 3, maxHostLosses: Int = 20,
    maxPendingOperations: Int = 4096, retention: RetentionPolicy = RetentionPolicy()
  ) {
    self.maxQueued = maxQueued
    self.maxInlineBytes = maxInlineBytes
    self.maxAttempts = maxAttempts
    self.maxHostLosses = maxHostLosses
    self.maxPendingOperations = maxPendingOperations
    self.retention = retention
  }
}

/// How long finished jobs and their artifacts are kept.
package struct RetentionPolicy: Sendable, Equatable {
  /// Age since the end at which a job goes.
  package var maxAgeSeconds: Int64
  /// Finished jobs kept; the oldest go first.
  package var maxCount: Int
  /// Age at which a result goes that its coordinator never acknowledged. Until then neither limit above touches it.
  package var maxUndeliveredAgeSeconds: Int64

  package init(
    maxAgeSeconds: Int64 = 7 * 86_400, maxCount: Int = 10_000, maxUndeliveredAgeSeconds: Int64 = 30 * 86_400
  ) {
    self.maxAgeSeconds = maxAgeSeconds
    self.maxCount = maxCount
    self.maxUndeliveredAgeSeconds = maxUndeliveredAgeSeconds
  }
}

/// What opening a store found, for the log and for `status`.
package struct OpenReport: Sendable, Equatable {
  /// Where a damaged database was kept; nil when it was sound. The artifacts lie beside it under the same suffix.
  package var corruptedKept: String?
  /// Why it was judged damaged.
  package var corruption: String?
  /// The former life did not end in order, so the whole file was checked.
  package var checkedAfterCrash = false
  /// Jobs that ran when the former life ended, by what became of them.
  package var requeued = 0
  package var failed = 0
  package var cancelled = 0
  /// Directories without a job that were removed.
  package var orphanedDirectories = 0
}

/// What the writer has done since the store was opened.
package struct StoreStatistics: Sendable, Equatable {
  /// Operations, reads included.
  package var operations = 0
  /// Transactions that wrote.
  package var commits = 0
  /// Of these, the ones that waited for the disk.
  package var syncedCommits = 0
  /// Nanoseconds inside COMMIT of the synced ones: the share of the disk.
  package var syncNanoseconds: UInt64 = 0
  /// Nanoseconds in which the writer had work, commits included.
  package var busyNanoseconds: UInt64 = 0
  package var largestBatch = 0
  /// Transactions undone and tried again one operation at a time.
  package var rollbacks = 0

  /// Part of the busy time that was spent waiting for the disk, 0…1.
  package var syncShare: Double {
    busyNanoseconds == 0 ? 0 : Double(syncNanoseconds) / Double(busyNanoseconds)
  }
}
