import GRDB

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why the store refused or could not do something. The description is one sentence a user can act on.
package enum JobStoreError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Another host holds this data directory.
  case alreadyInUse(path: String, pid: Int32?)
  case notWritable(path: String, reason: String)
  case diskFull(path: String)
  /// Stored data cannot be read back. The next start keeps the file aside and begins anew.
  case corrupted(path: String, reason: String)
  /// The database was written by a later version of this program.
  case newerSchema(path: String)
  case storage(reason: String)
  case closed
  /// Too many operations wait for the disk; the caller should try again later.
  case overloaded(pending: Int)
  case invalidRequest(field: String, reason: String)
  /// The key was used before with a different request.
  case idempotencyConflict(key: String, job: JobID)
  case queueFull(limit: Int)
  case tooLarge(what: String, bytes: Int, limit: Int)
  case unknownJob(JobID)
  /// Only a queued job can be claimed.
  case notQueued(JobID, state: JobState)
  case notFinished(JobID, state: JobState)

  package var description: String {
    switch self {
    case .alreadyInUse(let path, let pid):
      "another stoker run uses this home (\(pid.map { "pid \($0)" } ?? "pid unknown")): "
        + "stop it, or choose another directory with --home (\(path))"
    case .notWritable(let path, let reason): "cannot write to \(path): \(reason)"
    case .diskFull(let path): "the disk that holds \(path) is full: make room and try again"
    case .corrupted(let path, let reason):
      "the job database \(path) is damaged (\(reason)): restart stoker, which keeps it aside and starts a new one"
    case .newerSchema(let path):
      "the job database \(path) was written by a later version of stoker: update stoker, or use another --home"
    case .storage(let reason): "the job database failed: \(reason)"
    case .closed: "the job store is closed because the host is stopping"
    case .overloaded(let pending): "the job store has \(pending) operations waiting for the disk: try again later"
    case .invalidRequest(let field, let reason): "\(field) \(reason)"
    case .idempotencyConflict(let key, let job):
      "the idempotency key \"\(key)\" belongs to job \(job), which asked for something else: use a new key"
    case .queueFull(let limit): "the queue is full (\(limit) jobs): wait until some are done, or raise the limit"
    case .tooLarge(let what, let bytes, let limit):
      "\(what) has \(bytes) bytes and \(limit) are allowed: put large content in a file"
    case .unknownJob(let id): "there is no job \(id); it may have been pruned"
    case .notQueued(let id, let state): "job \(id) is \(state.rawValue), not queued"
    case .notFinished(let id, let state): "job \(id) is \(state.rawValue), not finished"
    }
  }

  /// An error of SQLite in the words of this store.
  static func from(_ error: any Error, path: String) -> JobStoreError {
    if let known = error as? JobStoreError { return known }
    guard let database = error as? DatabaseError else { return .storage(reason: "\(error)") }
    let message = database.message ?? "SQLite error \(database.extendedResultCode.rawValue)"
    switch database.resultCode {
    case .SQLITE_FULL: return .diskFull(path: path)
    case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH:
      return .notWritable(path: path, reason: message)
    case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .corrupted(path: path, reason: message)
    // Files of SQLite's own that find no room, the WAL's index for one, end as an I/O error and not as a full disk.
    case .SQLITE_IOERR where isFull(path): return .diskFull(path: path)
    case .SQLITE_IOERR: return .storage(reason: "\(message) at \(path): check the disk, then start stoker again")
    default: return .storage(reason: message)
    }
  }

  /// Whether the file system of a path has less room than the smallest database needs.
  private static func isFull(_ path: String) -> Bool {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return false }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize) < 64 << 10
  }
}
