import Testing

@testable import Host

/// Ids in order, as the store would make them.
func jobID(_ number: Int) -> JobID { JobID(high: UInt64(number) << 16, low: 0) }

func waitingJob(
  _ number: Int, model: String = "m", priority: Int = 0, startableAt: MonotonicInstant? = nil
) -> WaitingJob {
  WaitingJob(
    id: jobID(number), lane: JobLane(kind: .llm, model: model), priority: priority, startableAt: startableAt,
    queuedAt: MonotonicInstant(nanoseconds: 0))
}

struct JobQueueTests {
  let now = MonotonicInstant(nanoseconds: 1_000)

  @Test func higherPriorityFirstThenTheOlder() {
    var queue = JobQueue()
    for (number, priority) in [(5, 0), (1, 0), (9, 10), (3, -5), (2, 10)] {
      queue.insert(waitingJob(number, model: number % 2 == 0 ? "even" : "odd", priority: priority), now: now)
    }
    var order: [JobID] = []
    while let job = queue.pop(where: { _ in true }) { order.append(job.id) }
    #expect(order == [2, 9, 1, 5, 3].map(jobID))
    #expect(queue.count == 0 && queue.occupiedLanes.isEmpty)
  }

  @Test func onlyServedLanesAreTaken() {
    var queue = JobQueue()
    queue.insert(waitingJob(1, model: "a", priority: 50), now: now)
    queue.insert(waitingJob(2, model: "b"), now: now)
    #expect(queue.pop { $0.model == "b" }?.id == jobID(2))
    #expect(queue.pop { $0.model == "b" } == nil)
    #expect(queue.count == 1)
  }

  @Test func aJobIsInLineOnce() {
    var queue = JobQueue()
    queue.insert(waitingJob(1), now: now)
    queue.insert(waitingJob(1, priority: 90), now: now)
    queue.insert(waitingJob(1, startableAt: now.advanced(by: .seconds(1))), now: now)
    #expect(queue.count == 1)
    #expect(queue.pop { _ in true }?.priority == 0)
    #expect(queue.pop { _ in true } == nil)
  }

  @Test func delayedJobsWaitForTheirTime() {
    var queue = JobQueue()
    let due = now.advanced(by: .seconds(5))
    queue.insert(waitingJob(1, startableAt: due), now: now)
    queue.insert(waitingJob(2, startableAt: due.advanced(by: .seconds(1))), now: now)
    #expect(queue.pop { _ in true } == nil)
    #expect(queue.nextRelease == due)
    #expect(queue.occupiedLanes.count == 1, "who looks for stranded jobs must see them")
    let wasEarly = queue.release(now: now.advanced(by: .milliseconds(4999)))
    let wasDue = queue.release(now: due)
    #expect(!wasEarly && wasDue)
    #expect(queue.pop { _ in true }?.id == jobID(1))
    #expect(queue.remove(jobID(2))?.id == jobID(2))
    #expect(queue.nextRelease == nil && queue.count == 0)
  }

  /// The same operations on a plain array, which is right because it is simple.
  struct Model {
    var jobs: [WaitingJob] = []

    mutating func insert(_ job: WaitingJob) { if !jobs.contains(where: { $0.id == job.id }) { jobs.append(job) } }
    mutating func pop(now: MonotonicInstant, released: MonotonicInstant, _ serves: (JobLane) -> Bool) -> WaitingJob? {
      let ready = jobs.filter { serves($0.lane) && ($0.startableAt.map { $0 <= released } ?? true) }
      guard let first = ready.min(by: { ($1.priority, $0.id) < ($0.priority, $1.id) }) else { return nil }
      jobs.removeAll { $0.id == first.id }
      return first
    }
  }

  @Test(arguments: 0..<25)
  func behavesLikeAPlainList(seed: UInt64) {
    var numbers = SeededNumbers(seed)
    var queue = JobQueue()
    var model = Model()
    var now = MonotonicInstant(nanoseconds: 1_000_000_000)
    var next = 0
    for _ in 0..<1500 {
      switch Int.random(in: 0..<12, using: &numbers) {
      case 0..<5:
        next += 1
        let delay: Duration? =
          Int.random(in: 0..<4, using: &numbers) == 0 ? .milliseconds(Int64.random(in: 1..<500, using: &numbers)) : nil
        let job = waitingJob(
          next, model: "m\(Int.random(in: 0..<4, using: &numbers))", priority: Int.random(in: -2...2, using: &numbers),
          startableAt: delay.map { now.advanced(by: $0) })
        queue.insert(job, now: now)
        model.insert(job)
      case 5..<9:
        _ = queue.release(now: now)
        let wanted = Set((0..<4).filter { _ in Bool.random(using: &numbers) }.map { "m\($0)" })
        let serves: (JobLane) -> Bool = { wanted.contains($0.model) }
        #expect(queue.pop(where: serves) == model.pop(now: now, released: now, serves))
      case 9:
        guard let victim = model.jobs.randomElement(using: &numbers) else { continue }
        #expect(queue.remove(victim.id) == victim)
        model.jobs.removeAll { $0.id == victim.id }
        #expect(queue.remove(victim.id) == nil)
      case 10 where next % 50 == 0:
        let out = queue.removeAll { $0.model == "m1" }
        #expect(Set(out.map(\.id)) == Set(model.jobs.filter { $0.lane.model == "m1" }.map(\.id)))
        model.jobs.removeAll { $0.lane.model == "m1" }
      default: now = now.advanced(by: .milliseconds(Int64.random(in: 1..<100, using: &numbers)))
      }
      #expect(queue.count == model.jobs.count)
      #expect(Set(queue.occupiedLanes) == Set(model.jobs.map(\.lane)))
    }
  }

  /// A long line must not make each step slower: this is 40,000 jobs in and out again.
  @Test func aLongLineStaysQuick() {
    let clock = SystemHostClock()
    func time(_ count: Int) -> Duration {
      let start = clock.now()
      var queue = JobQueue()
      for number in 0..<count { queue.insert(waitingJob(number), now: now) }
      while queue.pop(where: { _ in true }) != nil {}
      return start.duration(to: clock.now())
    }
    _ = time(1000)
    let (short, long) = (time(4000), time(40_000))
    #expect(long < short * 100, "ten times the jobs took \(long) against \(short)")
  }
}
