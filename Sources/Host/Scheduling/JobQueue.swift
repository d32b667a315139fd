/// What an engine has to be able to do for a job: jobs of one lane are alike to the scheduler.
package struct JobLane: Hashable, Sendable {
  package var kind: JobKind
  package var model: String

  package init(kind: JobKind, model: String) {
    self.kind = kind
    self.model = model
  }
}

/// A job that waits for an engine.
package struct WaitingJob: Sendable, Equatable {
  package var id: JobID
  package var lane: JobLane
  package var priority: Int
  /// Attempts begun so far.
  package var attempts: Int
  /// When the job is pointless.
  package var deadlineAt: MonotonicInstant?
  /// Not before this, after a passing trouble.
  package var startableAt: MonotonicInstant?
  /// When it was first queued here, for `queuedMs` and fairness.
  package var queuedAt: MonotonicInstant
  /// A suspect: it must have its engine process to itself.
  package var isAlone = false

  package init(
    id: JobID, lane: JobLane, priority: Int = 0, attempts: Int = 0, deadlineAt: MonotonicInstant? = nil,
    startableAt: MonotonicInstant? = nil, queuedAt: MonotonicInstant, isAlone: Bool = false
  ) {
    self.isAlone = isAlone
    self.id = id
    self.lane = lane
    self.priority = priority
    self.attempts = attempts
    self.deadlineAt = deadlineAt
    self.startableAt = startableAt
    self.queuedAt = queuedAt
  }
}

/// The order of waiting jobs: higher priority first; within a priority lanes that have been passed over for too long, then
/// jobs whose model is at hand, then the older one. A value without clocks or I/O.
///
/// Too long is counted for a lane, not for a job: in a line that is longer than `maxWait` every job has waited too long,
/// and to go by age alone would change models with every job. So each lane gets its turn at the latest `maxWait` after its
/// last one, and keeps it until another lane's time has come.
///
/// Ids are time-ordered, so that the older job of two is the one with the smaller id, also after a restart.
package struct JobQueue: Sendable {
  /// A job that could go now, with what decides between several.
  package struct Candidate: Sendable {
    package var job: WaitingJob
    package var readiness: LaneRank.Readiness
    /// Since when its lane has waited for a turn, when that is longer than fairness allows; nil when it is not.
    package var passedOverSince: MonotonicInstant?

    /// Whether this one goes before `other`.
    package func precedes(_ other: Candidate) -> Bool {
      if job.priority != other.job.priority { return job.priority > other.job.priority }
      switch (passedOverSince, other.passedOverSince) {
      case (_?, nil): return true
      case (nil, _?): return false
      case (let mine?, let theirs?) where mine != theirs: return mine < theirs
      default: break
      }
      if readiness != other.readiness { return readiness < other.readiness }
      return job.id < other.job.id
    }
  }

  private struct Lane {
    /// Sorted; the first to go is last, so that taking it moves nothing.
    var jobs: [WaitingJob] = []
    /// When a job of this lane was last begun.
    var lastTurn: MonotonicInstant?

    mutating func insert(_ job: WaitingJob) { jobs.insert(job, at: index(of: job)) }

    /// Where the job is, or would be.
    func index(of job: WaitingJob) -> Int {
      var low = 0
      var high = jobs.count
      while low < high {
        let middle = (low + high) / 2
        if JobQueue.precedes(job, jobs[middle]) { low = middle + 1 } else { high = middle }
      }
      return low
    }

    /// Takes a job out by the same order that put it in.
    mutating func remove(_ job: WaitingJob) { jobs.remove(at: index(of: job)) }
  }
  private var lanes: [JobLane: Lane] = [:]
  /// Every job that is in line.
  private var inLine: [JobID: WaitingJob] = [:]
  private var delayed: [JobID: WaitingJob] = [:]
  /// Jobs in line that must be alone in their process.
  private(set) var suspects = 0

  package init() {}

  package var count: Int { inLine.count + delayed.count }
  package func contains(_ id: JobID) -> Bool { inLine[id] != nil || delayed[id] != nil }
  /// Lanes in which something waits, jobs that are not startable yet included.
  package var occupiedLanes: [JobLane] { Array(Set(lanes.keys).union(delayed.values.map(\.lane))) }

  /// Whether `left` goes before `right`.
  private static func precedes(_ left: WaitingJob, _ right: WaitingJob) -> Bool {
    left.priority != right.priority ? left.priority > right.priority : left.id < right.id
  }

  /// Takes a job in. A job that is in already stays where it is.
  package mutating func insert(_ job: WaitingJob, now: MonotonicInstant) {
    guard !contains(job.id) else { return }
    if let startable = job.startableAt, startable > now {
      delayed[job.id] = job
      return
    }
    inLine[job.id] = job
    if job.isAlone { suspects += 1 }
    // In place: a copy of a long lane for every job would make the queue quadratic.
    lanes[job.lane, default: Lane()].insert(job)
  }

  /// Moves delayed jobs whose time has come into line. Returns whether there were any.
  package mutating func release(now: MonotonicInstant) -> Bool {
    let due = delayed.values.filter { ($0.startableAt ?? now) <= now }
    for job in due {
      delayed[job.id] = nil
      insert(job, now: now)
    }
    return !due.isEmpty
  }

  /// When the next delayed job comes into line.
  package var nextRelease: MonotonicInstant? { delayed.values.compactMap(\.startableAt).min() }

  /// A job whose lane has been passed over for too long, and the memory that it waits for.
  package struct Overdue: Sendable {
    package var job: WaitingJob
    package var pools: Set<MemoryPool>
  }

  /// Since when a lane has been passed over, when that is too long.
  private func passedOver(_ lane: Lane, _ head: WaitingJob, _ now: MonotonicInstant, _ maxWait: Duration)
    -> MonotonicInstant?
  {
    let since = maxWait == .zero ? head.queuedAt : max(head.queuedAt, lane.lastTurn ?? head.queuedAt)
    return since.duration(to: now) > maxWait ? since : nil
  }

  /// Whether any lane has been passed over for too long: without one there is nothing to ask the places about.
  package func hasOverdue(now: MonotonicInstant, maxWait: Duration) -> Bool {
    lanes.values.contains { lane in
      lane.jobs.last.map { passedOver(lane, $0, now, maxWait) != nil } ?? false
    }
  }

  /// Heads of lanes that have been passed over for too long and are held up by memory in use, at every one of the places
  /// that serve them.
  ///
  /// They keep back the jobs of their priority and below, anywhere, that would go on using that memory: otherwise small
  /// jobs could keep it from ever being free.
  package func overdue(
    now: MonotonicInstant, maxWait: Duration, ranks: [(JobLane) -> LaneRank?]
  ) -> [Overdue] {
    var found: [Overdue] = []
    for (key, lane) in lanes {
      guard let head = lane.jobs.last, passedOver(lane, head, now, maxWait) != nil else { continue }
      var pools: Set<MemoryPool> = []
      var isReady = false
      for rank in ranks {
        switch rank(key) {
        case .ready: isReady = true
        case .blocked(let blocked): pools.formUnion(blocked)
        case nil: break
        }
      }
      if !isReady, !pools.isEmpty { found.append(Overdue(job: head, pools: pools)) }
    }
    return found
  }

  /// The job that goes first among the lanes that `rank` lets begin.
  ///
  /// - Parameters:
  ///   - maxWait: how long a lane may be passed over; zero for strictly by age.
  ///   - held: jobs that keep back others, see `overdue`.
  ///   - admits: jobs that it refuses are left out, as if they did not stand there.
  package func first(
    now: MonotonicInstant, maxWait: Duration, held: [Overdue] = [], admits: (WaitingJob) -> Bool = { _ in true },
    rank: (JobLane) -> LaneRank?
  ) -> Candidate? {
    var best: Candidate?
    for (key, lane) in lanes {
      guard let head = lane.jobs.last(where: admits), case .ready(let readiness, let pools)? = rank(key) else {
        continue
      }
      let isHeldBack = held.contains { JobQueue.precedes($0.job, head) && !$0.pools.isDisjoint(with: pools) }
      if isHeldBack { continue }
      let candidate = Candidate(
        job: head, readiness: readiness, passedOverSince: passedOver(lane, head, now, maxWait))
      if let found = best, !candidate.precedes(found) { continue }
      best = candidate
    }
    return best
  }

  /// Takes out a job that is begun now.
  package mutating func take(_ candidate: Candidate, now: MonotonicInstant) {
    remove(candidate.job.id)
    lanes[candidate.job.lane]?.lastTurn = now
  }

  /// Takes out the job that goes first among the lanes that `serves` accepts, by priority and age alone.
  package mutating func pop(where serves: (JobLane) -> Bool) -> WaitingJob? {
    let found = first(now: MonotonicInstant(nanoseconds: 0), maxWait: .seconds(Int64.max / 2_000_000_000)) { lane in
      serves(lane) ? .ready(.loaded, pools: []) : nil
    }
    guard let found else { return nil }
    remove(found.job.id)
    return found.job
  }

  /// Takes a job out. Returns it, or nil when it is not here.
  @discardableResult
  package mutating func remove(_ id: JobID) -> WaitingJob? {
    if let job = delayed.removeValue(forKey: id) { return job }
    guard let job = inLine.removeValue(forKey: id) else { return nil }
    if job.isAlone { suspects -= 1 }
    lanes[job.lane]?.remove(job)
    if lanes[job.lane]?.jobs.isEmpty == true { lanes[job.lane] = nil }
    return job
  }

  /// Takes out every job whose lane `matches`.
  package mutating func removeAll(where matches: (JobLane) -> Bool) -> [WaitingJob] {
    let ids =
      lanes.filter { matches($0.key) }.flatMap { $0.value.jobs.map(\.id) }
      + delayed.values.filter { matches($0.lane) }.map(\.id)
    return ids.compactMap { remove($0) }
  }
}
