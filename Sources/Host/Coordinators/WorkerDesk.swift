import PluginProtocol
import Synchronization

/// The worker's side of one coordinator.
package final class WorkerDesk: CoordinatorDesk {
  private let coordinator: String
  private let maxJobs: Int
  private let intake: JobIntake
  private let capabilitiesNow: @Sendable () -> [JobKind: [String]]
  private let changes: ChangeSignal
  private let resources: MachineResources

  private struct State {
    var inHand: Set<JobID> = []
    /// Names of offers that are being taken in.
    var offered: Set<String> = []
  }
  private let state = Mutex(State())

  /// - Parameter maxJobs: jobs of this coordinator at a time, waiting ones included.
  package init(
    coordinator: String, maxJobs: Int, intake: JobIntake, resources: MachineResources, changes: ChangeSignal,
    capabilities: @escaping @Sendable () -> [JobKind: [String]]
  ) {
    self.coordinator = coordinator
    self.maxJobs = maxJobs
    self.intake = intake
    self.resources = resources
    self.changes = changes
    capabilitiesNow = capabilities
  }

  private var current: WorkerCapabilities {
    WorkerCapabilities(
      openness: intake.dispatcher.intake, models: capabilitiesNow(), maxJobs: maxJobs,
      jobsInHand: state.withLock { $0.inHand.count }, resources: resources)
  }

  package func capabilities() -> AsyncStream<WorkerCapabilities> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: WorkerCapabilities.self, bufferingPolicy: .bufferingNewest(1))
    let subscription = changes.subscribe { [weak self] in
      guard let self else { return }
      continuation.yield(self.current)
    }
    continuation.onTermination = { [changes] _ in changes.unsubscribe(subscription) }
    continuation.yield(current)
    return stream
  }

  /// Takes up the jobs of a former life: they are in hand again. To be called before the coordinator runs.
  package func restore() async throws {
    for state in [JobState.queued, .running] {
      var filter = JobFilter(state: state, coordinator: coordinator, limit: 1000)
      while true {
        let page = try await intake.store.jobs(filter)
        self.state.withLock { $0.inHand.formUnion(page.map(\.id)) }
        guard page.count == filter.limit, let last = page.last else { break }
        filter.before = last.id
      }
    }
  }

  package func offer(_ offer: JobOffer) async -> OfferAnswer {
    // Of two offers with one name at one moment the second waits for the first to be known.
    guard state.withLock({ $0.offered.insert(offer.remoteID).inserted }) else {
      return .rejected(.init(.busy, "the same offer is being taken in"))
    }
    defer { state.withLock { _ = $0.offered.remove(offer.remoteID) } }
    return await answer(offer)
  }

  private func answer(_ offer: JobOffer) async -> OfferAnswer {
    do {
      if let known = try await intake.store.job(coordinator: coordinator, remoteID: offer.remoteID) {
        return .accepted(known.id)
      }
    } catch {
      return .rejected(.init(.resource, "\(error)"))
    }
    switch intake.dispatcher.intake {
    case .paused: return .rejected(.init(.paused, "worker paused by operator"))
    case .draining: return .rejected(.init(.draining, "the worker is draining"))
    case .open: break
    }
    let id = intake.store.newID()
    let hasRoom = state.withLock { state in
      guard state.inHand.count < maxJobs else { return false }
      state.inHand.insert(id)
      return true
    }
    guard hasRoom else { return .rejected(.init(.busy, "worker already has an in-flight job")) }
    do {
      let request = JobRequest(
        kind: offer.kind, model: offer.model, task: offer.task, priority: offer.priority,
        deadlineSeconds: offer.deadlineSeconds, labels: offer.labels, coordinator: coordinator, remoteID: offer.remoteID
      )
      let accepted = try await intake.submit(request, id: id).id
      changes.notify()
      return .accepted(accepted)
    } catch {
      leave(id)
      switch error.controlFailure {
      case .noEngine, .unknownKind: return .rejected(.init(.unsupported, error.message))
      case .badInput, .conflict: return .rejected(.init(.invalid, error.message))
      case .draining: return .rejected(.init(.draining, error.message))
      default: return .rejected(.init(.resource, error.message))
      }
    }
  }

  package func events(
    _ job: JobID, aliveEvery interval: Duration
  ) -> AsyncThrowingStream<CoordinatorEvent, any Error> {
    let relay = EventRelay()
    let pump = Task { [self] in
      // The stream owns this task, through its reader: the end of either cancels it.
      await withDiscardingTaskGroup { group in
        group.addTask {
          while !Task.isCancelled {
            do { try await Task.sleep(for: interval) } catch { return }
            if self.intake.live.isRunning(job) { await relay.send(.alive) }
          }
        }
        await intake.live.watch(job, chunks: true, settled: { await self.settled(job) }) { event in
          await self.forward(event, of: job, to: relay)
        }
        group.cancelAll()
      }
      relay.finish()
    }
    relay.onCancel { pump.cancel() }
    let reader = EventReader(relay)
    return AsyncThrowingStream { try await reader.relay.next() }
  }

  private func settled(_ id: JobID) async -> JobState? {
    guard let job = try? await intake.store.job(id), job.state.isTerminal else { return nil }
    return job.state
  }

  /// Returns whether to go on.
  private func forward(_ event: LiveEvent, of id: JobID, to relay: EventRelay) async -> Bool {
    switch event {
    case .running(let attempt): await relay.send(.running(attempt: attempt))
    case .progress(let progress): await relay.send(.progress(progress))
    case .chunk(let chunk): await relay.send(.chunk(chunk))
    case .restart(let attempt): await relay.send(.restart(attempt: attempt))
    case .loading, .gap: break
    case .finished:
      leave(id)
      do {
        await relay.send(.finished(try await intake.store.job(id)))
      } catch {
        relay.finish(error)
      }
      return false
    }
    return true
  }

  package func cancel(_ job: JobID) async {
    _ = try? await intake.cancel(job)
  }

  package func undelivered() async throws -> [Job] {
    try await intake.store.undelivered(coordinator: coordinator)
  }

  package func result(of job: Job) throws -> JSONValue? { try InputStage.whole(job) }

  package func delivered(_ job: JobID) async throws {
    leave(job)
    try await intake.store.acknowledge(job)
  }

  private func leave(_ id: JobID) {
    let left = state.withLock { $0.inHand.remove(id) != nil }
    if left { changes.notify() }
  }
}

/// Tells those who ask that what this worker can do has changed.
package final class ChangeSignal: Sendable {
  private struct State {
    var listeners: [Int: @Sendable () -> Void] = [:]
    var next = 0
  }
  private let state = Mutex(State())

  package init() {}

  package func subscribe(_ listener: @escaping @Sendable () -> Void) -> Int {
    state.withLock { state in
      state.next += 1
      state.listeners[state.next] = listener
      return state.next
    }
  }
  package func unsubscribe(_ id: Int) { state.withLock { $0.listeners[id] = nil } }
  package func notify() {
    let listeners = state.withLock { Array($0.listeners.values) }
    for listener in listeners { listener() }
  }
}

/// One event at a time from a producer that waits to a consumer that asks: nothing piles up between them.
private final class EventRelay: Sendable {
  private struct State {
    var item: CoordinatorEvent?
    var failure: (any Error)?
    /// The last event has been sent: nothing comes after it.
    var hasLast = false
    var isFinished = false
    var isCancelled = false
    var producers: [CheckedContinuation<Void, Never>] = []
    var consumer: CheckedContinuation<Void, Never>?
    var onCancel: (@Sendable () -> Void)?
  }
  private let state = Mutex(State())

  func onCancel(_ body: @escaping @Sendable () -> Void) {
    let isLate = state.withLock { state in
      if !state.isCancelled { state.onCancel = body }
      return state.isCancelled
    }
    if isLate { body() }
  }

  /// Waits until the event was taken, or nobody will take it.
  func send(_ event: CoordinatorEvent) async {
    while true {
      let (done, consumer) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
        if state.isCancelled || state.isFinished || state.hasLast { return (true, nil) }
        guard state.item == nil else { return (false, nil) }
        state.item = event
        if case .finished = event { state.hasLast = true }
        return (true, state.consumer.take())
      }
      consumer?.resume()
      if done { return }
      await withCheckedContinuation { continuation in
        let wait: Bool = state.withLock { state in
          guard state.item != nil, !state.isCancelled, !state.isFinished, !state.hasLast else { return false }
          state.producers.append(continuation)
          return true
        }
        if !wait { continuation.resume() }
      }
    }
  }

  func finish(_ error: (any Error)? = nil) {
    let (consumer, producers) = state.withLock { state in
      state.isFinished = true
      if state.failure == nil { state.failure = error }
      defer { state.producers = [] }
      return (state.consumer.take(), state.producers)
    }
    consumer?.resume()
    for producer in producers { producer.resume() }
  }

  func next() async throws -> CoordinatorEvent? {
    while true {
      let (item, ended, producers) = state.withLock {
        state -> (CoordinatorEvent?, Bool, [CheckedContinuation<Void, Never>]) in
        let item = state.item.take()
        defer { if item != nil { state.producers = [] } }
        return (item, state.isFinished || state.isCancelled, item == nil ? [] : state.producers)
      }
      for producer in producers { producer.resume() }
      if let item { return item }
      if ended {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        return nil
      }
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let wait: Bool = state.withLock { state in
            guard state.item == nil, !state.isFinished, !state.isCancelled, !Task.isCancelled else { return false }
            state.consumer = continuation
            return true
          }
          if !wait { continuation.resume() }
        }
      } onCancel: {
        cancel()
      }
      if Task.isCancelled { cancel() }
    }
  }

  func cancel() {
    let (consumer, producers, body) = state.withLock { state in
      state.isCancelled = true
      defer { state.producers = [] }
      return (state.consumer.take(), state.producers, state.onCancel.take())
    }
    consumer?.resume()
    for producer in producers { producer.resume() }
    body?()
  }
}

/// The consumer's end of a relay: when the stream that holds it is dropped, nobody will ask any more.
private final class EventReader: Sendable {
  let relay: EventRelay
  init(_ relay: EventRelay) { self.relay = relay }
  deinit { relay.cancel() }
}
