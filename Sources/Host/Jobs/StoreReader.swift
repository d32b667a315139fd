import GRDB

/// Reads on a connection of its own: a query never waits for the disk behind somebody else's commit.
///
/// In WAL mode a reader sees a transaction only once it is committed, and a synced one only once it is on disk: nothing is
/// shown that could be undone.
final class StoreReader: Sendable {
  private let queue: DatabaseQueue
  private let path: String

  /// - Parameter path: a database in WAL mode, open for writing elsewhere in this process.
  init(path: String) throws(JobStoreError) {
    self.path = path
    var configuration = Configuration()
    configuration.label = "stoker.jobs.read"
    configuration.readonly = true
    configuration.busyMode = .timeout(5)
    do { queue = try DatabaseQueue(path: path, configuration: configuration) } catch { throw .from(error, path: path) }
  }

  /// Runs one query. Not cut short by the task's cancellation: a job that is being given back is still read.
  func read<Value: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(JobStoreError) -> Value {
    let result = await withCheckedContinuation { (waiter: CheckedContinuation<Result<Value, JobStoreError>, Never>) in
      queue.asyncRead { [path] access in
        do {
          waiter.resume(returning: .success(try body(try access.get())))
        } catch let refusal as JobStoreError {
          waiter.resume(returning: .failure(refusal))
        } catch {
          let error = JobStoreError.from(error, path: path)
          if case .corrupted = error { StoreFiles.suspect(database: path) }
          waiter.resume(returning: .failure(error))
        }
      }
    }
    return try result.get()
  }

  /// Closes the connection; later reads fail as closed.
  func close() { try? queue.close() }
}
