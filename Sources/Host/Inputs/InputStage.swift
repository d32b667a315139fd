import Glibc
import PluginProtocol

/// Takes the inputs of jobs in, keeps them for as long as the job lives, and hands them to its attempts.
///
/// A job's files lie in the store's `jobs/<job>/inputs/`, one for each slot under the slot's name, and `task.json` when the
/// task itself is large. What comes with the submission (paths, uploads, `data:` URLs) is there, durable, before the job is
/// acknowledged; what is remote is fetched once, when the job first runs. The store removes the directory with the job's
/// terminal state, and at its next opening when there is no such job.
package final class InputStage: Sendable {
  /// The uploads that no job has claimed yet.
  package let uploads: UploadDesk
  let store: JobStore
  let settings: InputSettings

  /// Removes the uploads of a former life.
  package init(
    store: JobStore, settings: InputSettings = InputSettings(), clock: any HostClock = SystemHostClock()
  ) throws(JobStoreError) {
    self.store = store
    self.settings = settings
    uploads = try UploadDesk(directory: store.directory + "/uploads", settings: settings, clock: clock)
  }

  /// The name of a large task's file.
  static let taskName = "task.json"
  /// How the names of input files in a work directory begin.
  static let inputPrefix = "input-"

  func path(_ id: JobID, _ name: String) -> String { store.artifacts.inputDirectory(id) + "/" + name }

  /// What is left of a job's quota for one more input.
  func limit(used: Int64) -> Int64 { max(0, min(settings.maxInputBytes, settings.maxJobBytes - used)) }

  /// Runs blocking work off the threads that all tasks share; a cancelled task cancels the signal.
  func blocking<Value: Sendable>(
    _ work: @escaping @Sendable (CancelSignal) throws -> Value
  ) async throws(InputFailure) -> Value {
    do {
      return try await onBlockingThread(work)
    } catch {
      throw InputFailure(error)
    }
  }
}
