import Synchronization

/// The worker's one account of which jobs ended which processes.
package final class BlameBook: Sendable {
  private let state = Mutex(Blame())

  package init() {}

  package func isSuspect(_ id: JobID) -> Bool { state.withLock { $0.isSuspect(id) } }
  package func forget(_ id: JobID) { state.withLock { $0.forget(id) } }
  package func restore(_ id: JobID, _ attempts: [JobAttempt]) { state.withLock { $0.restore(id, attempts) } }

  /// Judges one loss, and returns what is known of each process that ended with the job.
  func rule(
    _ id: JobID, _ circumstance: Blame.Circumstance, story: JobFailure
  ) -> (ruling: Blame.Ruling, stories: [JobFailure]) {
    state.withLock { blame in
      let ruling = blame.rule(id, circumstance, story: story)
      return (ruling, blame.stories(id))
    }
  }
}
