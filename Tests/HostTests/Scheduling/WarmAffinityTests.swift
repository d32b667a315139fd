import PluginProtocol
import Synchronization
import Testing

@testable import Host

struct WarmAffinityTests {
  private func at(_ seconds: Double) -> MonotonicInstant { MonotonicInstant(nanoseconds: Int64(seconds * 1e9)) }

  private func job(_ number: Int, _ model: String, priority: Int = 0, queuedAt: Double = 0) -> WaitingJob {
    WaitingJob(
      id: jobID(number), lane: JobLane(kind: .llm, model: model), priority: priority, queuedAt: at(queuedAt))
  }

  /// Ranks as a place that has `loaded` and room for nothing else without a swap.
  private func having(_ loaded: String...) -> (JobLane) -> LaneRank? {
    { .ready(loaded.contains($0.model) ? .loaded : .swap, pools: [.machine]) }
  }

  @Test func theLoadedModelGoesFirstUntilAnotherHasWaitedTooLong() throws {
    var queue = JobQueue()
    queue.insert(job(1, "cold"), now: at(0))
    for number in 2...50 { queue.insert(job(number, "warm"), now: at(0)) }
    var order: [String] = []
    for second in 0..<20 {
      let found = try #require(
        queue.first(now: at(Double(second)), maxWait: .seconds(5), rank: having("warm")))
      queue.take(found, now: at(Double(second)))
      order.append(found.job.lane.model)
    }
    #expect(order.prefix(6).allSatisfy { $0 == "warm" })
    #expect(order[6] == "cold", "after five seconds it is its turn: \(order)")
    #expect(order.dropFirst(7).allSatisfy { $0 == "warm" })
  }

  @Test func priorityGoesAboveWarmth() throws {
    var queue = JobQueue()
    queue.insert(job(1, "warm"), now: at(0))
    queue.insert(job(2, "cold", priority: 1), now: at(0))
    #expect(queue.first(now: at(0), maxWait: .seconds(30), rank: having("warm"))?.job.lane.model == "cold")
  }

  @Test func withoutPatienceAgeAloneDecides() throws {
    var queue = JobQueue()
    for (number, model) in ["a", "b", "a", "b", "c"].enumerated() {
      queue.insert(job(number, model, queuedAt: Double(number)), now: at(Double(number)))
    }
    var order: [JobID] = []
    while let found = queue.first(now: at(100), maxWait: .zero, rank: having("a")) {
      queue.take(found, now: at(100))
      order.append(found.job.id)
    }
    #expect(order == (0..<5).map(jobID))
  }

  @Test func aModelThatOthersHaveLoadedIsTheLastChoice() {
    var queue = JobQueue()
    queue.insert(job(1, "elsewhere"), now: at(0))
    queue.insert(job(2, "nowhere", queuedAt: 1), now: at(1))
    let rank: (JobLane) -> LaneRank? = { .ready($0.model == "elsewhere" ? .copy : .swap, pools: [.machine]) }
    #expect(queue.first(now: at(1), maxWait: .seconds(30), rank: rank)?.job.lane.model == "nowhere")
    #expect(queue.first(now: at(60), maxWait: .seconds(30), rank: rank)?.job.lane.model == "elsewhere")
  }

  @Test func whoHasWaitedTooLongForMemoryKeepsOthersFromTakingMoreOfIt() {
    var queue = JobQueue()
    queue.insert(job(1, "large"), now: at(0))
    queue.insert(job(2, "small"), now: at(0))
    queue.insert(job(3, "device"), now: at(0))
    let rank: (JobLane) -> LaneRank? = { lane in
      switch lane.model {
      case "large": .blocked(pools: [.machine])
      case "small": .ready(.loaded, pools: [.machine])
      default: .ready(.loaded, pools: [.device("cuda:0")])
      }
    }
    func first(_ second: Double, ranks: [(JobLane) -> LaneRank?]) -> String? {
      let held = queue.overdue(now: at(second), maxWait: .seconds(30), ranks: ranks)
      return queue.first(now: at(second), maxWait: .seconds(30), held: held, rank: rank)?.job.lane.model
    }
    #expect(first(1, ranks: [rank]) == "small")
    #expect(first(31, ranks: [rank]) == "device", "another pool's jobs do not wait")
    #expect(
      first(31, ranks: [rank, { $0.model == "large" ? .ready(.room, pools: [.machine]) : nil }]) == "small",
      "it can go elsewhere")
  }

  // MARK: A thousand random jobs

  /// One box in simulated time: two processes, memory for two models of four, real ledger, residency and queue.
  private struct Box {
    var loads = 0
    var longestWait = 0.0
    var mostHeld: Int64 = 0
    var done = 0
  }

  private static let runSeconds = 1.0
  private static let loadSeconds = 4.0
  private static let models = ["a", "b", "c", "d"]

  private func simulate(seed: UInt64, maxWait: Duration, affinity: Bool) async -> Box {
    var numbers = SeededNumbers(seed)
    let clock = ManualHostClock(MonotonicInstant(nanoseconds: 0))
    let bytes: Int64 = 1 << 30
    let limit = bytes * 5 / 2
    let residency = Residency(
      policy: ResidencyPolicy(limits: [.machine: limit]),
      probe: MemoryProbe(available: { _ in [:] }, held: { _, _ in nil }), footprints: Footprints(path: nil),
      clock: clock, log: HostLog(output: nil), onChange: {})
    var box = Box()
    // Arrivals at 1.6 jobs a second, for two places that do one a second each: 80 % busy when nothing is ever loaded.
    var arrivals: [(time: Double, model: String)] = []
    var time = 0.0
    for _ in 0..<1000 {
      time += Double.random(in: 0...1.25, using: &numbers)
      arrivals.append((time, WarmAffinityTests.models.randomElement(using: &numbers) ?? "a"))
    }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await residency.run() }
      let engines = [FakeResidentEngine(), FakeResidentEngine()]
      var holders: [MemoryLedger.HolderID] = []
      for engine in engines { holders.append(await residency.enter(.fake(engine, modelBytes: bytes))) }
      var queue = JobQueue()
      var busyUntil: [Double?] = [nil, nil]
      var running: [String?] = [nil, nil]
      var now = 0.0
      var next = 0
      while box.done < arrivals.count {
        // The next thing that happens: a job comes, or one ends.
        let arrival = next < arrivals.count ? arrivals[next].time : .infinity
        now = min(arrival, busyUntil.compactMap { $0 }.min() ?? .infinity)
        clock.advance(by: clock.now().duration(to: at(now)))
        for place in 0..<2 {
          guard let end = busyUntil[place], end <= now, let model = running[place] else { continue }
          residency.release(model, at: holders[place])
          (busyUntil[place], running[place]) = (nil, nil)
          box.done += 1
        }
        while next < arrivals.count, arrivals[next].time <= now {
          queue.insert(job(next, arrivals[next].model, queuedAt: arrivals[next].time), now: at(now))
          next += 1
        }
        while true {
          var best: (place: Int, found: JobQueue.Candidate)?
          for place in 0..<2 where running[place] == nil {
            let found = queue.first(now: at(now), maxWait: maxWait) { lane in
              affinity ? residency.rank(lane.model, at: holders[place]) : .ready(.loaded, pools: [])
            }
            guard let found, best.map({ found.precedes($0.found) }) ?? true else { continue }
            best = (place, found)
          }
          guard let (place, found) = best else { break }
          queue.take(found, now: at(now))
          let model = found.job.lane.model
          let before = engines[place].loads.count
          let answer = await residency.acquire(
            ModelReference(id: model), fileBytes: 0, at: holders[place], for: "\(found.job.id)")
          #expect(answer == .ready)
          let wasLoaded = engines[place].loads.count > before
          box.longestWait = max(box.longestWait, now - Double(found.job.queuedAt.nanoseconds) / 1e9)
          running[place] = model
          busyUntil[place] =
            now + WarmAffinityTests.runSeconds + (wasLoaded ? WarmAffinityTests.loadSeconds : 0)
          box.mostHeld = max(box.mostHeld, residency.state.withLock { $0.ledger.used(.machine) })
        }
      }
      box.loads = engines.reduce(0) { $0 + $1.loads.count }
      group.cancelAll()
    }
    #expect(box.mostHeld <= limit, "\(box.mostHeld) bytes held")
    return box
  }

  @Test(.timeLimit(.minutes(2)), arguments: [1, 2, 3] as [UInt64])
  func aThousandJobsOnFourModelsInTwoSlots(seed: UInt64) async {
    let first = await simulate(seed: seed, maxWait: .zero, affinity: false)
    let warm = await simulate(seed: seed, maxWait: .seconds(30), affinity: true)
    #expect(first.done == 1000 && warm.done == 1000)
    #expect(
      warm.loads * 4 <= first.loads,
      "\(warm.loads) loads against \(first.loads) in the order of arrival")
    // First in, first out changes models with every second job and so falls behind without end; here nobody waits
    // longer than it takes each of the other lanes to have its turn.
    #expect(warm.longestWait < 150, "somebody waited \(warm.longestWait) s")
    #expect(warm.longestWait < first.longestWait)
    print("four models in two slots: \(warm.loads) loads, in order of arrival \(first.loads)")
  }
}
