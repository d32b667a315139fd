import Synchronization

/// How many engine processes each job has taken down: a job that killed two is poison.
package final class DeathCount: Sendable {
  package static let poisonous = 2
  private let stories = Mutex<[JobID: [JobFailure]]>([:])

  package init() {}

  /// Counts one more death. Returns how many there are now.
  func add(_ id: JobID, evidence: JobFailure) -> Int {
    stories.withLock { stories in
      stories[id, default: []].append(evidence)
      return stories[id]?.count ?? 0
    }
  }

  func take(_ id: JobID) -> [JobFailure] { stories.withLock { $0.removeValue(forKey: id) ?? [] } }
  func forget(_ id: JobID) { stories.withLock { $0[id] = nil } }
}
