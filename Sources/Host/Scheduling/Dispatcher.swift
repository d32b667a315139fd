import Synchronization

/// Whether jobs are begun.
package enum Intake: String, Sendable {
  /// Jobs are taken and begun.
  case open = "running"
  /// Jobs are taken from this machine's user and wait; coordinators are refused.
  case paused
  /// Nothing new is taken or begun; what runs goes on.
  case draining
}

/// Brings waiting jobs and free places together.
///
/// A place is one job's worth of an engine process (`concurrency` of them a process). It asks with `next` and gets a job
/// when there is one that it serves; a place in a running process is preferred to one that would have to start it.
package final class Dispatcher: Sendable {
  /// One process's claim to jobs, running or yet to be started.
  package struct Place: Sendable, Hashable {
    package let id: Int
  }

  private struct Waiter {
    let id: Int
    let place: Place
    let rank: @Sendable (JobLane) -> LaneRank?
    let isWarm: Bool
    let continuation: CheckedContinuation<WaitingJob?, Never>
  }

  private enum Choice {
    case nothing
    case hand(JobQueue.Candidate)
    /// A suspect goes first, and has to be alone.
    case empty(for: JobID)
  }

  private enum Step {
    case hand(Waiter, WaitingJob)
    case again
    case done
  }

  private struct State {
    var queue = JobQueue()
    var waiters: [Waiter] = []
    var retired: Set<Place> = []
    var intake = Intake.open
    var isClosed = false
    var nextPlace = 0
    var nextWaiter = 0
    var reserved: [Place: [WaitingJob]] = [:]
    /// Jobs handed out and not back.
    var handedOut = 0
    var solitude = Solitude()

    /// Jobs that keep back others, as all who wait for jobs see it, and one more.
    func overdue(
      _ now: MonotonicInstant, _ maxWait: Duration, _ asking: ((JobLane) -> LaneRank?)? = nil
    ) -> [JobQueue.Overdue] {
      guard queue.hasOverdue(now: now, maxWait: maxWait) else { return [] }
      return queue.overdue(now: now, maxWait: maxWait, ranks: waiters.map(\.rank) + (asking.map { [$0] } ?? []))
    }

    /// Whether a job may be begun at all.
    func mayBegin(_ limit: Int?) -> Bool { intake == .open && !isClosed && handedOut < limit ?? .max }

    mutating func hand(_ candidate: JobQueue.Candidate, at place: Place, now: MonotonicInstant) -> WaitingJob {
      queue.take(candidate, now: now)
      handedOut += 1
      solitude.begin(candidate.job, at: place)
      return candidate.job
    }

    /// What a place would do now.
    mutating func choose(
      _ place: Place, _ now: MonotonicInstant, _ maxWait: Duration, _ held: [JobQueue.Overdue],
      _ rank: (JobLane) -> LaneRank?
    ) -> Choice {
      guard !solitude.isTaken(place) else { return .nothing }
      // Where no suspect waits, which is nearly always, there is nothing to ask about each job.
      let best =
        queue.suspects == 0
        ? queue.first(now: now, maxWait: maxWait, held: held, rank: rank)
        : queue.first(
          now: now, maxWait: maxWait, held: held, admits: { solitude.mayConsider($0, at: place) }, rank: rank)
      guard let best, best.job.isAlone, solitude.isOccupied(place) else {
        solitude.stopEmptying(place)
        return best.map { .hand($0) } ?? .nothing
      }
      return .empty(for: best.job.id)
    }
  }

  private let state = Mutex(State())
  private let clock: any HostClock

  private let limit: Int?
  private let maxWait: Duration
  private let alarm: Nap?
  private let onReturn: @Sendable (JobID) -> Void

  /// - Parameters:
  ///   - limit: jobs that may run at a time over all engines; nil for no bound beyond the engines' own.
  ///   - maxWait: time after which a job goes before younger ones whose model is loaded.
  ///   - onReturn: told of a job that goes back into line without having been begun.
  ///   - alarm: woken when `nextRelease` may have come nearer: who rests there calls `match` in time.
  package init(
    clock: any HostClock = SystemHostClock(), limit: Int? = nil, maxWait: Duration = .seconds(30), alarm: Nap? = nil,
    onReturn: @escaping @Sendable (JobID) -> Void = { _ in }
  ) {
    self.onReturn = onReturn
    self.clock = clock
    self.limit = limit
    self.maxWait = maxWait
    self.alarm = alarm
  }

  // MARK: Places

  /// A new place, at which nobody waits yet.
  package func makePlace() -> Place {
    state.withLock { state in
      state.nextPlace += 1
      return Place(id: state.nextPlace)
    }
  }

  /// Waits for a job for `place`. Nil when the place was retired or called away, the dispatcher was closed, or the task
  /// was cancelled.
  ///
  /// - Parameter rank: how well the place is prepared for a lane now; nil for lanes that it does not serve. Asked under a
  ///   lock: it must not call back.
  package func next(
    _ place: Place, isWarm: Bool, rank: @escaping @Sendable (JobLane) -> LaneRank?
  ) async -> WaitingJob? {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    let now = clock.now()
    // Jobs whose time has come may be for others that wait.
    if state.withLock({ $0.queue.release(now: now) }) { match() }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        var mustMatch = false
        let answer: WaitingJob?? = state.withLock { state in
          if state.isClosed || state.retired.contains(place) || Task.isCancelled { return .some(nil) }
          if var reserved = state.reserved[place], !reserved.isEmpty {
            let job = reserved.removeFirst()
            state.reserved[place] = reserved
            return .some(job)
          }
          let held = state.overdue(now, maxWait, rank)
          if state.mayBegin(limit) {
            switch state.choose(place, now, maxWait, held, rank) {
            case .nothing: break
            // What cannot be done here may be possible at another place that waits.
            case .hand(let found) where found.readiness == .hopeless: mustMatch = true
            case .hand(let found): return .some(state.hand(found, at: place, now: now))
            case .empty(let id): _ = state.solitude.empty(place, for: id)
            }
          }
          state.waiters.append(Waiter(id: id, place: place, rank: rank, isWarm: isWarm, continuation: continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) } else if mustMatch { match() }
      }
    } onCancel: {
      release { $0.id == id }
    }
  }

  /// Gives a job that a place has got to another of its waits: the first `next` of `place` returns it. It goes back into
  /// line when the place has been retired.
  package func reserve(_ job: WaitingJob, for place: Place) {
    let isKept = state.withLock { state in
      guard !state.retired.contains(place) else { return false }
      state.reserved[place, default: []].append(job)
      return true
    }
    if !isKept { giveBack(job, from: place) }
  }

  /// Ends all waiting at a place, now and later. Jobs reserved for it go back into line.
  package func retire(_ place: Place) {
    let (back, mustMatch) = state.withLock { state in
      state.retired.insert(place)
      state.solitude.retire(place)
      return (state.reserved.removeValue(forKey: place) ?? [], state.queue.suspects > 0)
    }
    release { $0.place == place }
    for job in back { giveBack(job, from: place) }
    // A suspect that this place was being emptied for is for the others now.
    if mustMatch { match() }
  }

  /// Ends the waiting at a place once: whoever waits there looks at the world again.
  package func call(_ place: Place) { release { $0.place == place } }

  /// The place will not be used again: forgets it. Jobs reserved for it go back into line.
  package func forget(_ place: Place) {
    let back = state.withLock { state in
      state.retired.remove(place)
      return state.reserved.removeValue(forKey: place) ?? []
    }
    for job in back { giveBack(job, from: place) }
  }

  private func release(where matches: (Waiter) -> Bool) {
    let released = state.withLock { state in
      let released = state.waiters.filter(matches)
      state.waiters.removeAll(where: matches)
      return released
    }
    for waiter in released { waiter.continuation.resume(returning: nil) }
  }

  // MARK: Jobs

  /// Puts a job into line, or hands it to a place that waits for it.
  package func enqueue(_ job: WaitingJob) {
    let now = clock.now()
    state.withLock { $0.queue.insert(job, now: now) }
    match()
    if let startable = job.startableAt, startable > now { alarm?.wake() }
  }

  /// A job that was handed out and could not be begun goes back into line.
  package func giveBack(_ job: WaitingJob, from place: Place) {
    onReturn(job.id)
    state.withLock { state in
      state.handedOut -= 1
      _ = state.solitude.end(at: place)
    }
    enqueue(job)
  }

  /// A job that was handed out is done with, whatever became of it.
  package func jobLeft(_ place: Place) {
    let mustMatch = state.withLock { state in
      state.handedOut -= 1
      return state.solitude.end(at: place)
    }
    if mustMatch || limit != nil { match() }
  }

  /// Takes a waiting job out of line. False when it does not wait (any more).
  package func withdraw(_ id: JobID) -> Bool {
    let wasThere = state.withLock { state in
      state.solitude.drop(id)
      return state.queue.remove(id) != nil
    }
    // It may have kept others back.
    if wasThere { match() }
    return wasThere
  }

  /// Takes out every waiting job of the lanes that `matches`.
  package func withdrawAll(where matches: (JobLane) -> Bool) -> [WaitingJob] {
    state.withLock { $0.queue.removeAll(where: matches) }
  }

  /// Lanes in which something waits, now or until its time comes.
  package var occupiedLanes: [JobLane] { state.withLock { $0.queue.occupiedLanes } }
  /// Jobs in line.
  package var waiting: Int { state.withLock { $0.queue.count } }
  /// Waits for a job that are under way.
  package var placesWaiting: Int { state.withLock { $0.waiters.count } }
  /// When a delayed job comes into line.
  package var nextRelease: MonotonicInstant? { state.withLock { $0.queue.nextRelease } }

  // MARK: Intake

  package var intake: Intake { state.withLock { $0.intake } }

  /// Opens or stops the flow of jobs.
  package func setIntake(_ intake: Intake) {
    state.withLock { $0.intake = intake }
    match()
  }

  /// Ends all waiting for good.
  package func close() {
    state.withLock { $0.isClosed = true }
    release { _ in true }
  }

  /// Hands waiting jobs to waiting places: also to be called when delayed jobs come into line.
  package func match() {
    let now = clock.now()
    while true {
      let step: Step = state.withLock { state in
        // Also when nobody waits: `nextRelease` would stay in the past, and who rests until then would never rest.
        _ = state.queue.release(now: now)
        guard !state.waiters.isEmpty, state.mayBegin(limit) else { return .done }
        let held = state.overdue(now, maxWait)
        var best: (index: Int, candidate: JobQueue.Candidate)?
        var wishes: [(place: Place, id: JobID)] = []
        for (index, waiter) in state.waiters.enumerated() {
          switch state.choose(waiter.place, now, maxWait, held, waiter.rank) {
          case .nothing: break
          case .empty(let id): wishes.append((waiter.place, id))
          case .hand(let found):
            if let best, !isBetter(found, waiter, than: best.candidate, state.waiters[best.index]) { continue }
            best = (index, found)
          }
        }
        if let best {
          let waiter = state.waiters.remove(at: best.index)
          return .hand(waiter, state.hand(best.candidate, at: waiter.place, now: now))
        }
        // Each place that begins to be emptied leaves other jobs to the others: they look again. The order of jobs stands
        // still meanwhile, so that this ends when no place finds a better one.
        var isNews = false
        for wish in wishes where state.solitude.empty(wish.place, for: wish.id) { isNews = true }
        return isNews ? .again : .done
      }
      switch step {
      case .hand(let waiter, let job): waiter.continuation.resume(returning: job)
      case .again: continue
      case .done: return
      }
    }
  }

  /// Whether a waiter with its job is the better pair: the job that goes first, at the place best prepared for it.
  private func isBetter(
    _ found: JobQueue.Candidate, _ waiter: Waiter, than best: JobQueue.Candidate, _ other: Waiter
  ) -> Bool {
    if found.job.id != best.job.id { return found.precedes(best) }
    if found.readiness != best.readiness { return found.readiness < best.readiness }
    return waiter.isWarm && !other.isWarm
  }
}
