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

  package init(
    id: JobID, lane: JobLane, priority: Int = 0, attempts: Int = 0, deadlineAt: MonotonicInstant? = nil,
    startableAt: MonotonicInstant? = nil, queuedAt: MonotonicInstant
  ) {
    self.id = id
    self.lane = lane
    self.priority = priority
    self.attempts = attempts
    self.deadlineAt = deadlineAt
    self.startableAt = startableAt
    self.queuedAt = queuedAt
  }
}

/// The order of waiting jobs: higher priority first, then the older one. A value without clocks or I/O.
///
/// Ids are time-ordered, so that the older job of two is the one with the smaller id, also after a restart.
package struct JobQueue: Sendable {
  private struct Lane {
    /// Sorted; the first to go is last, so that taking it moves nothing.
    var jobs: [WaitingJob] = []

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

  /// Takes out the job that goes first among the lanes that `serves` accepts.
  package mutating func pop(where serves: (JobLane) -> Bool) -> WaitingJob? {
    var best: WaitingJob?
    for (key, lane) in lanes where serves(key) {
      guard let head = lane.jobs.last else { continue }
      if let found = best, JobQueue.precedes(found, head) { continue }
      best = head
    }
    guard let best else { return nil }
    remove(best.id)
    return best
  }

  /// Takes a job out. Returns it, or nil when it is not here.
  @discardableResult
  package mutating func remove(_ id: JobID) -> WaitingJob? {
    if let job = delayed.removeValue(forKey: id) { return job }
    guard let job = inLine.removeValue(forKey: id) else { return nil }
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
