import PluginProtocol

/// Where jobs come from and results go: a studio's farm over WebSocket, a poll over HTTP, a task queue over gRPC.
///
/// A coordinator translates between its wire and the worker's desk, and decides nothing else. It offers what it gets,
/// forwards what happens, and delivers what is finished: whatever was finished and not yet delivered waits in the outbox,
/// also over restarts.
package protocol Coordinator: Sendable {
  /// `studio`, `temporal` … Jobs carry it, and so does the outbox.
  var name: String { get }

  /// Serves until the task is cancelled, or for good when the other side will have no more of this worker.
  ///
  /// When `desk.capabilities()` says `.draining`, no offer is to be asked for any more; running jobs go on, and are renewed
  /// and delivered, until the task is cancelled.
  func run(_ desk: any CoordinatorDesk) async throws
}

/// What a worker gives to a coordinator.
package protocol CoordinatorDesk: Sendable {
  /// What this worker can do now, and then again whenever that, or its openness, has changed.
  func capabilities() -> AsyncStream<WorkerCapabilities>

  /// Offers a job. Accepted means stored: from then on the job ends exactly once, and its end reaches the outbox.
  func offer(_ offer: JobOffer) async -> OfferAnswer

  /// What happens to an accepted job, from its beginning to `.finished`, which is the last event. For one consumer.
  ///
  /// `.alive` comes each `interval` while the job's clocks say that it lives: the moment to renew a lease. A slow consumer
  /// slows the engine.
  func events(_ job: JobID, aliveEvery interval: Duration) -> AsyncThrowingStream<CoordinatorEvent, any Error>

  /// The other side has cancelled the job, or given it away (`superseded`). Idempotent.
  func cancel(_ job: JobID) async

  /// Finished jobs of this coordinator that it has not delivered, oldest first.
  func undelivered() async throws -> [Job]

  /// A finished job's result, also when it lies in a file because it is large (`{"file": NAME, "bytes": N}` in the job).
  func result(of job: Job) throws -> JSONValue?

  /// The other side has taken the result, or refused it for good: it leaves the outbox.
  func delivered(_ job: JobID) async throws
}

/// A piece of work from outside.
package struct JobOffer: Sendable {
  /// The job's name over there. An offer that was accepted before is answered with the same job again.
  package var remoteID: String
  package var kind: JobKind
  package var model: String?
  package var task: JSONValue
  package var priority: Int
  package var deadlineSeconds: Double?
  package var labels: [String: String]

  package init(
    remoteID: String, kind: JobKind, model: String? = nil, task: JSONValue, priority: Int = 0,
    deadlineSeconds: Double? = nil, labels: [String: String] = [:]
  ) {
    self.remoteID = remoteID
    self.kind = kind
    self.model = model
    self.task = task
    self.priority = priority
    self.deadlineSeconds = deadlineSeconds
    self.labels = labels
  }
}

/// The answer to an offer.
package enum OfferAnswer: Sendable, Equatable {
  case accepted(JobID)
  case rejected(Rejection)

  /// Why an offer is not taken. `reason` is one sentence for the operator over there.
  package struct Rejection: Sendable, Equatable {
    package enum Code: String, Sendable, CaseIterable {
      /// As many jobs of this coordinator as are allowed are in hand, or this very offer is being taken in: offer it
      /// again later.
      case busy
      /// The operator has paused the worker: offer it again later.
      case paused
      /// The worker is leaving: offer it elsewhere.
      case draining
      /// Nothing here serves that kind and model: offer it elsewhere.
      case unsupported
      /// The offer itself is wrong: offer it nowhere.
      case invalid
      /// Disk or queue are full: offer it elsewhere, or later.
      case resource
    }
    package var code: Code
    package var reason: String

    package init(_ code: Code, _ reason: String) {
      self.code = code
      self.reason = reason
    }
  }
}

/// What a coordinator hears of a job that it brought.
package enum CoordinatorEvent: Sendable, Equatable {
  case running(attempt: Int)
  case progress(JobProgress)
  case chunk(JobChunk)
  /// The attempt was lost: chunks begin anew.
  case restart(attempt: Int)
  /// The job lives: renew what has to be renewed.
  case alive
  /// The stored end. The job is in the outbox until `delivered`.
  case finished(Job)
}

/// What a worker can do, for those who hand out work.
package struct WorkerCapabilities: Sendable, Equatable {
  package var openness: Intake
  /// Kinds and, for each, the model ids and patterns that are served now.
  package var models: [JobKind: [String]]
  /// Jobs of this coordinator that may be in hand at a time, and that are.
  package var maxJobs: Int
  package var jobsInHand: Int
  /// Threads and bytes of the machine.
  package var resources: MachineResources
}
