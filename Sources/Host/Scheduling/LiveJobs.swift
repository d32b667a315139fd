import PluginProtocol
import Synchronization

/// What is known of running jobs beyond what is stored: progress, chunks, who watches. Lives in memory only.
///
/// Chunks are lossless for a watcher that keeps up with the credit: the slowest watcher of a job paces its engine.
/// Without watchers chunks are kept in a bounded history, so that one who comes a moment later still sees the beginning.
package final class LiveJobs: Sendable {
  /// How a running attempt is reached.
  package struct Handle: Sendable {
    package var cancel: @Sendable () -> Void
    package var credit: @Sendable (_ through: Int) -> Void

    package init(cancel: @escaping @Sendable () -> Void, credit: @escaping @Sendable (Int) -> Void) {
      self.cancel = cancel
      self.credit = credit
    }
  }

  /// Bytes of chunks kept for one job.
  static let historyBytes = 1 << 20
  /// Finished jobs whose chunks are still kept.
  static let finishedKept = 32

  private struct State {
    var entries: [JobID: Entry] = [:]
    var finished: [JobID] = []
    var nextWatcher = 0
    /// Those who wait until nothing runs.
    var idleWaiters: [Int: CheckedContinuation<Void, Never>] = [:]
    var nextIdleWaiter = 0

    var isIdle: Bool { !entries.values.contains { $0.handle != nil || $0.isExpected } }
  }
  private let state = Mutex(State())
  private let credit: Int

  /// - Parameter credit: chunks an engine may be ahead of the slowest watcher.
  package init(credit: Int = defaultChunkCredit) { self.credit = credit }

  /// Ids of jobs that run.
  package var running: [JobID] { state.withLock { $0.entries.filter { $0.value.handle != nil }.map(\.key) } }

  /// Progress of a running job, for `jobs`.
  package func progress(_ id: JobID) -> JobProgress? { state.withLock { $0.entries[id]?.latest } }

  /// The model that is being loaded for a job, and how far it is.
  package func loading(_ id: JobID) -> (model: String, fraction: Double?)? {
    state.withLock { $0.entries[id]?.loading }
  }

  /// Waits until no job runs, or the task is cancelled.
  package func untilIdle() async {
    let id = state.withLock { state in
      state.nextIdleWaiter += 1
      return state.nextIdleWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait: Bool = state.withLock { state in
          guard !state.isIdle, !Task.isCancelled else { return false }
          state.idleWaiters[id] = continuation
          return true
        }
        if !mustWait { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { $0.idleWaiters.removeValue(forKey: id) }
      waiter?.resume()
    }
  }

  private func announceIdle() {
    let waiters = state.withLock { state in
      guard !state.idleWaiters.isEmpty, state.isIdle else { return [CheckedContinuation<Void, Never>]() }
      defer { state.idleWaiters = [:] }
      return Array(state.idleWaiters.values)
    }
    for waiter in waiters { waiter.resume() }
  }

  // MARK: From the runner

  /// An attempt begins. Returns false when a cancel was requested before.
  package func begin(_ id: JobID, attempt: Int, handle: Handle) -> Bool {
    let (go, wake) = state.withLock { state -> (Bool, [CheckedContinuation<Void, Never>]) in
      var entry = state.entries[id] ?? Entry()
      let isRestart = entry.attempt > 0 && attempt > 1
      entry.attempt = attempt
      entry.handle = handle
      entry.isExpected = false
      entry.finished = nil
      entry.lastSeq = 0
      entry.granted = credit
      entry.latest = nil
      entry.loading = nil
      LiveJobs.append(isRestart ? .restart(attempt: attempt) : .running(attempt: attempt), to: &entry)
      let wake = LiveJobs.waiters(&entry)
      let go = !entry.cancelRequested
      state.entries[id] = entry
      return (go, wake)
    }
    for waiter in wake { waiter.resume() }
    return go
  }

  /// A model is being loaded for the job.
  package func loading(_ id: JobID, model: String, fraction: Double?) {
    update(id) { entry in
      entry.loading = (model, fraction)
      entry.revision += 1
    }
  }

  /// The model is there.
  package func loaded(_ id: JobID) { update(id) { $0.loading = nil } }

  /// The latest progress; older progress that nobody has seen is dropped.
  package func report(_ id: JobID, attempt: Int, _ progress: JobProgress) {
    update(id) { entry in
      guard entry.attempt == attempt, entry.finished == nil else { return }
      entry.latest = progress
      entry.loading = nil
      entry.revision += 1
    }
  }

  /// One chunk, in order.
  package func take(_ id: JobID, attempt: Int, _ chunk: JobChunk) {
    let taken = state.withLock { state -> (Handle?, Int?, [CheckedContinuation<Void, Never>])? in
      guard var entry = state.entries[id], entry.attempt == attempt, entry.finished == nil else { return nil }
      // The log is then held once, and to append to it copies nothing.
      state.entries[id] = nil
      entry.lastSeq = chunk.seq
      entry.bytes += chunk.weight
      LiveJobs.append(.chunk(chunk), to: &entry)
      let wake = LiveJobs.waiters(&entry)
      let through = grantable(&entry)
      state.entries[id] = entry
      return (entry.handle, through, wake)
    }
    guard let (handle, through, wake) = taken else { return }
    if let handle, let through { handle.credit(through) }
    for waiter in wake { waiter.resume() }
  }

  /// The attempt is over, and the job waits again or belongs to somebody else.
  package func requeued(_ id: JobID) {
    update(id) { entry in
      entry.handle = nil
      entry.isExpected = false
      entry.latest = nil
    }
    announceIdle()
  }

  /// The job has reached its terminal state, and that is stored.
  package func finished(_ id: JobID, _ outcome: JobState) {
    let wake = state.withLock { state in
      var entry = state.entries[id] ?? Entry()
      guard entry.finished == nil else { return [CheckedContinuation<Void, Never>]() }
      entry.handle = nil
      entry.isExpected = false
      entry.finished = outcome
      LiveJobs.append(.finished(outcome), to: &entry)
      let wake = LiveJobs.waiters(&entry)
      state.entries[id] = entry
      state.finished.append(id)
      if state.finished.count > LiveJobs.finishedKept {
        let oldest = state.finished.removeFirst()
        if state.entries[oldest]?.watchers.isEmpty == true { state.entries[oldest] = nil }
      }
      return wake
    }
    for waiter in wake { waiter.resume() }
    announceIdle()
  }

  // MARK: From outside

  /// Asks for a running job's end. False when it does not run here.
  package func cancel(_ id: JobID) -> Bool {
    let handle: Handle? = state.withLock { state in
      state.entries[id]?.cancelRequested = true
      return state.entries[id]?.handle
    }
    handle?.cancel()
    return handle != nil
  }

  /// Watches a job from its beginning, until it is finished, `take` returns false, or the task is cancelled.
  ///
  /// - Parameters:
  ///   - settled: asked once the watch is in place: the job's terminal state when it is stored already. Without it a job
  ///     that finished a moment before would be waited for in vain.
  ///   - take: called for one event after another.
  package func watch(
    _ id: JobID, chunks: Bool, settled: () async throws -> JobState?, _ take: (LiveEvent) async -> Bool
  ) async rethrows {
    let watcher = state.withLock { state in
      var entry = state.entries[id] ?? Entry()
      state.nextWatcher += 1
      entry.watchers[state.nextWatcher] = Watcher(cursor: 0)
      state.entries[id] = entry
      return state.nextWatcher
    }
    defer { leave(id, watcher) }
    // When there is no such job nothing else would ever remove what the watch has made.
    do { if let outcome = try await settled() { finished(id, outcome) } } catch {
      leave(id, watcher)
      retract(id)
      throw error
    }
    while !Task.isCancelled {
      guard let events = await nextEvents(id, watcher, chunks: chunks) else { return }
      for event in events {
        guard await take(event) else { return }
        if case .finished = event { return }
      }
    }
  }

  /// Watchers of a job.
  package func watchers(_ id: JobID) -> Int { state.withLock { $0.entries[id]?.watchers.count ?? 0 } }
  /// Jobs of which anything is known here.
  package var known: Int { state.withLock { $0.entries.count } }

  /// Whether an attempt at the job is under way in an engine: its clocks watch it.
  package func isRunning(_ id: JobID) -> Bool { state.withLock { $0.entries[id]?.handle != nil } }

  /// Whether a running job's end has been asked for.
  package func isCancelRequested(_ id: JobID) -> Bool {
    state.withLock { $0.entries[id]?.cancelRequested ?? false }
  }

  /// The job that was announced has ended before it could be claimed.
  package func retract(_ id: JobID) {
    state.withLock { state in
      guard let entry = state.entries[id], entry.attempt == 0, entry.finished == nil, entry.watchers.isEmpty else {
        return
      }
      state.entries[id] = nil
    }
  }

  /// The job has been handed to an engine that is being started: until it runs there, or is given back, things are not
  /// idle.
  package func expect(_ id: JobID) {
    state.withLock { $0.entries[id, default: Entry()].isExpected = true }
  }

  /// The engine did not come about: the job is in line again.
  package func unexpect(_ id: JobID) {
    state.withLock { $0.entries[id]?.isExpected = false }
    retract(id)
    announceIdle()
  }

  /// Makes a job known before it is claimed, so that a cancel that comes between the two is not lost.
  package func announce(_ id: JobID) {
    state.withLock { state in
      if state.entries[id] == nil { state.entries[id] = Entry() }
    }
  }

  // MARK: Inside

  private func update(_ id: JobID, _ body: (inout Entry) -> Void) {
    let wake = state.withLock { state in
      guard var entry = state.entries[id] else { return [CheckedContinuation<Void, Never>]() }
      body(&entry)
      let wake = LiveJobs.waiters(&entry)
      state.entries[id] = entry
      return wake
    }
    for waiter in wake { waiter.resume() }
  }

  private func leave(_ id: JobID, _ watcher: Int) {
    let grant: (Handle, Int)? = state.withLock { state in
      guard var entry = state.entries[id] else { return nil }
      entry.watchers[watcher] = nil
      let through = grantable(&entry)
      if entry.watchers.isEmpty, entry.finished != nil, !state.finished.contains(id) {
        state.entries[id] = nil
      } else {
        state.entries[id] = entry
      }
      guard let handle = entry.handle, let through else { return nil }
      return (handle, through)
    }
    if let (handle, through) = grant { handle.credit(through) }
  }

  /// The credit to be granted now, if it is worth a message: half the window at a time.
  private func grantable(_ entry: inout Entry) -> Int? {
    let slowest = entry.watchers.values.map { $0.attempt == entry.attempt ? $0.seq : 0 }.min() ?? entry.lastSeq
    let through = slowest + credit
    guard through >= entry.granted + max(1, credit / 2) else { return nil }
    entry.granted = through
    return through
  }

  private func nextEvents(_ id: JobID, _ watcher: Int, chunks: Bool) async -> [LiveEvent]? {
    while true {
      let (events, grant) = state.withLock { state -> ([LiveEvent]?, (Handle, Int)?) in
        guard var entry = state.entries[id], var reader = entry.watchers[watcher] else { return (nil, nil) }
        var events: [LiveEvent] = []
        if reader.cursor < entry.base {
          if chunks { events.append(.gap) }
          reader.cursor = entry.base
          reader.attempt = entry.baseAttempt
        }
        while reader.cursor < entry.base + entry.log.count, events.count < 32 {
          let event = entry.log[reader.cursor - entry.base]
          reader.cursor += 1
          switch event {
          case .chunk(let chunk):
            reader.seq = chunk.seq
            if chunks { events.append(event) }
          case .running(let attempt), .restart(let attempt):
            (reader.attempt, reader.seq) = (attempt, 0)
            events.append(event)
          default: events.append(event)
          }
        }
        if entry.finished == nil, reader.seenRevision != entry.revision {
          reader.seenRevision = entry.revision
          if let loading = entry.loading {
            events.append(.loading(model: loading.model, fraction: loading.fraction))
          } else if let latest = entry.latest {
            events.append(.progress(latest))
          }
        }
        entry.watchers[watcher] = reader
        let through = grantable(&entry)
        state.entries[id] = entry
        return (events, entry.handle.flatMap { handle in through.map { (handle, $0) } })
      }
      if let (handle, through) = grant { handle.credit(through) }
      guard let events else { return nil }
      if !events.isEmpty { return events }
      if Task.isCancelled { return nil }
      await pause(id, watcher)
    }
  }

  private func pause(_ id: JobID, _ watcher: Int) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait: Bool = state.withLock { state in
          guard !Task.isCancelled, let entry = state.entries[id], let reader = entry.watchers[watcher],
            reader.cursor == entry.base + entry.log.count,
            reader.seenRevision == entry.revision || entry.finished != nil
          else { return false }
          state.entries[id]?.watchers[watcher]?.waiting = continuation
          return true
        }
        if !mustWait { continuation.resume() }
      }
    } onCancel: {
      let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
        state.entries[id]?.watchers[watcher]?.waiting.take()
      }
      waiter?.resume()
    }
  }
}
