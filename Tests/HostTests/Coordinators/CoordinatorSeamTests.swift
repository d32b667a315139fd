import PluginProtocol
import Testing

@testable import Host

/// The seam carries what a studio, a poll and a task queue need, over a real worker and a real engine process.
@Suite(.timeLimit(.minutes(2)))
struct CoordinatorSeamTests {
  @Test func aPushedJobFromOfferToDelivery() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 2)]) { worker in
      let answer = await side.offer(deskOffer("r1", ["steps": 3, "chunks": 5, "chunkMs": 20, "delayMs": 500]))
      let id = try #require(answer.job, "\(answer)")
      try await side.follow(id, aliveEvery: .microseconds(200))
      let events = try #require(side.heard.events[id])
      #expect(events.first { $0 != .alive } == .running(attempt: 1))
      #expect(events.chunks.map(\.seq) == [1, 2, 3, 4, 5])
      #expect(events.chunks.compactMap(\.text).joined() == "0 1 2 3 4 ")
      #expect(events.contains { if case .progress = $0 { true } else { false } })
      #expect(events.contains(.alive), "a lease has to be renewed")
      let job = try #require(side.heard.end(id), "the end comes last: \(events.suffix(3))")
      #expect(job.state == .succeeded && job.remoteID == "r1" && job.coordinator == "memory")
      #expect(job.result?["attempt"]?.int == 1)
      #expect(side.heard.deliveries.map(\.id) == [id])
      #expect(try await side.desk().undelivered().isEmpty)
      try await side.wait("room again") { $0.capabilities.last?.jobsInHand == 0 }
      let served = side.heard.capabilities.first
      #expect(served?.maxJobs == 2 && served?.models[.llm] == ["desk*"] && served?.openness == .open)
    }
  }

  @Test func pollingTakesNoMoreThanThereIsRoomFor() async throws {
    let backlog = (0..<12).map { deskOffer("p\($0)", priority: $0 % 3, ["chunks": 3, "delayMs": 20]) }
    let side = InMemoryCoordinator(style: .poll, backlog: backlog)
    try await DeskHome().life([(side, 2)]) { _ in
      let journal = try await side.wait("all results") { $0.deliveries.count == 12 }
      #expect(Set(journal.deliveries.compactMap(\.remoteID)) == Set(backlog.map(\.remoteID)))
      #expect(journal.deliveries.allSatisfy { $0.state == .succeeded })
      #expect(journal.capabilities.allSatisfy { $0.jobsInHand <= 2 })
      #expect(journal.answers.values.allSatisfy { $0.filter { $0.job != nil }.count == 1 })
    }
  }

  @Test func anOfferIsTakenOnce() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 20)]) { worker in
      let first = await side.offer(deskOffer("same", ["delayMs": 50]))
      #expect(await side.offer(deskOffer("same", ["delayMs": 50])) == first)
      try await side.follow(try #require(first.job))
      #expect(await side.offer(deskOffer("same")) == first, "also after its end")
      worker.dispatcher.setIntake(.paused)
      #expect(await side.offer(deskOffer("same")) == first, "it is in hand, whatever the worker does now")
      worker.dispatcher.setIntake(.open)

      let answers = await withTaskGroup(of: OfferAnswer.self) { group in
        for _ in 0..<16 { group.addTask { await side.offer(deskOffer("twin")) } }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(Set(answers.compactMap(\.job)).count == 1)
      #expect(answers.allSatisfy { $0.job != nil || $0.code == .busy })
      #expect(try await worker.store.jobs().filter { $0.remoteID == "twin" }.count == 1)
    }
  }

  @Test func eachRejectionHasItsCode() async throws {
    let (side, wide) = (InMemoryCoordinator(), InMemoryCoordinator("wide"))
    let limits: (inout HostConfiguration) -> Void = { configuration in
      configuration.jobs.maxQueued = 1
      configuration.scheduling.maxConcurrentJobs = 1
    }
    try await DeskHome().life([(side, 1), (wide, 50)], limits) { worker in
      #expect(await side.offer(deskOffer("u", model: "nobody-has-this")).code == .unsupported)
      #expect(await side.offer(JobOffer(remoteID: "k", kind: .video, task: [:])).code == .unsupported)
      #expect(await side.offer(deskOffer("i", priority: 5000)).code == .invalid)
      #expect(await side.offer(deskOffer("j", JSONValue.array([]))).code == .invalid)
      #expect(await side.offer(deskOffer("", [:])).code == .invalid)

      let long = await side.offer(deskOffer("long", ["delayMs": 60_000]))
      let id = try #require(long.job, "the rejected ones have left no trace: \(long)")
      #expect(await side.offer(deskOffer("next")).code == .busy)

      async let followed: Void = side.follow(id)
      try await side.wait("a start") { $0.events[id]?.contains(.running(attempt: 1)) ?? false }
      let waits = await wide.offer(deskOffer("waits"))
      #expect(waits.job != nil)
      #expect(await wide.offer(deskOffer("full")).code == .resource, "the queue is full")

      worker.setIntake(.paused)
      #expect(await wide.offer(deskOffer("paused")).code == .paused)
      worker.setIntake(.draining)
      #expect(await wide.offer(deskOffer("draining")).code == .draining)
      worker.setIntake(.open)

      try await side.desk().cancel(id)
      try await side.desk().cancel(id)
      try await followed
      #expect(side.heard.end(id)?.state == .cancelled)
      try await wide.follow(try #require(waits.job))
      #expect(await side.offer(deskOffer("next")).job != nil, "there is room again")
    }
  }

  @Test func cancelFromOutsideWorksAtAnyMoment() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 8)]) { worker in
      let desk = try await side.desk()
      // Of eight jobs two run; the others wait. All are cancelled, at moments of their own.
      var jobs: [JobID] = []
      for number in 0..<8 {
        jobs.append(try #require(await side.offer(deskOffer("c\(number)", ["delayMs": 60_000])).job))
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for job in jobs { group.addTask { try await side.follow(job) } }
        for job in jobs.reversed() {
          await desk.cancel(job)
          await desk.cancel(job)
        }
        try await group.waitForAll()
      }
      for job in jobs {
        #expect(side.heard.end(job)?.state == .cancelled)
        await desk.cancel(job)
      }
      #expect(worker.live.running.isEmpty)
      let after = try #require(await side.offer(deskOffer("after")).job)
      try await side.follow(after)
      #expect(side.heard.end(after)?.state == .succeeded, "the engine is of use again")
    }
  }

  @Test func failuresCarryTheirClass() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 8)]) { _ in
      let id = try #require(await side.offer(deskOffer("f", ["fail": "bad_input", "chunks": 2])).job)
      try await side.follow(id)
      let job = try #require(side.heard.end(id))
      #expect(job.state == .failed && job.error?.errorClass == "bad_input")
      #expect(job.error?.message == "failed as the task asked")
      #expect(job.attempts.count == 1, "never retried")
    }
  }

  @Test func aLostAttemptIsToldAndTriedAgain() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 1)]) { _ in
      let id = try #require(await side.offer(deskOffer("d", ["dieOnAttempt": 1, "chunks": 3])).job)
      try await side.follow(id)
      let events = try #require(side.heard.events[id])
      let restart = try #require(events.firstIndex(of: .restart(attempt: 2)), "\(events)")
      #expect(events[..<restart].first { $0 != .alive } == .running(attempt: 1))
      #expect(Array(events[restart...]).chunks.map(\.seq) == [1, 2, 3], "chunks begin anew")
      let job = try #require(side.heard.end(id))
      #expect(job.state == .succeeded && job.attempts.map(\.outcome) == [.lost, .succeeded])
    }
  }

  @Test func aJobThatKillsTwoEnginesIsPoison() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 1)]) { worker in
      let id = try #require(await side.offer(deskOffer("poison", ["dieOnAttempt": 99])).job)
      try await side.follow(id)
      let job = try #require(side.heard.end(id))
      #expect(job.state == .failed && job.attempts.count == 2)
      #expect(job.error?.evidence?.array?.count == 2, "both stories")
      let good = try #require(await side.offer(deskOffer("good")).job)
      try await side.follow(good)
      #expect(side.heard.end(good)?.state == .succeeded)
    }
  }

  @Test func pauseAndDrainAreHeardAndRunningJobsGoOn() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 4)]) { worker in
      let id = try #require(await side.offer(deskOffer("r", ["chunks": 40, "chunkMs": 20])).job)
      async let followed: Void = side.follow(id)
      try await side.wait("a chunk") { !($0.events[id]?.chunks.isEmpty ?? true) }
      worker.setIntake(.paused)
      try await side.wait("the pause") { $0.capabilities.last?.openness == .paused }
      worker.setIntake(.draining)
      try await side.wait("the drain") { $0.capabilities.last?.openness == .draining }
      try await followed
      #expect(side.heard.end(id)?.state == .succeeded)
      #expect(side.heard.deliveries.count == 1)
      await worker.live.untilIdle()
    }
  }

  @Test func theOutboxOutlivesTheWorker() async throws {
    let home = try DeskHome()
    let deaf = InMemoryCoordinator(acknowledges: false)
    var ids: [JobID] = []
    try await home.life([(deaf, 4)]) { _ in
      for number in 0..<3 {
        let id = try #require(await deaf.offer(deskOffer("o\(number)")).job)
        try await deaf.follow(id)
        ids.append(id)
      }
      #expect(try await deaf.desk().undelivered().map(\.id) == ids)
    }
    let second = InMemoryCoordinator()
    try await home.life([(second, 4), (InMemoryCoordinator("stranger"), 4)]) { _ in
      let journal = try await second.wait("redelivery") { $0.deliveries.count >= 3 }
      #expect(journal.deliveries.map(\.id) == ids, "oldest first")
      #expect(journal.deliveries.allSatisfy { $0.state == .succeeded && $0.result != nil })
      try await second.wait("its capabilities") { !$0.capabilities.isEmpty }
    }
    let third = InMemoryCoordinator()
    try await home.life([(third, 4)]) { _ in
      try await third.wait("its capabilities") { !$0.capabilities.isEmpty }
      #expect(third.heard.deliveries.isEmpty, "delivered once and for all")
    }
  }

  @Test func jobsInHandOutliveTheWorker() async throws {
    let home = try DeskHome()
    let first = InMemoryCoordinator()
    var id: JobID?
    try await home.life([(first, 1)]) { _ in
      let job = try #require(await first.offer(deskOffer("long", ["delayMs": 800])).job)
      id = job
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await first.follow(job) }
        try await first.wait("a start") { $0.events[job]?.contains(.running(attempt: 1)) ?? false }
        group.cancelAll()
      }
      // The worker stops now, with the job half done.
    }
    let job = try #require(id)
    let second = InMemoryCoordinator()
    try await home.life([(second, 1)]) { _ in
      #expect(await second.offer(deskOffer("long")) == .accepted(job), "the same job")
      try await second.follow(job)
      #expect(second.heard.end(job)?.state == .succeeded)
    }
  }

  /// Credit flows through the whole chain: engine, host, coordinator.
  @Test func manyChunksArriveInOrderAndALostReaderHoldsNobodyUp() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 4)]) { worker in
      let desk = try await side.desk()
      let many = try #require(await side.offer(deskOffer("many", ["chunks": 1000])).job)
      try await side.follow(many)
      #expect(side.heard.events[many]?.chunks.map(\.seq) == Array(1...1000))

      let left = try #require(await side.offer(deskOffer("left", ["chunks": 1000])).job)
      for try await event in desk.events(left, aliveEvery: .seconds(10)) {
        if case .chunk = event { break }
      }
      // Nobody reads on: were the reader still counted, the engine would wait for credit for ever.
      try await side.follow(left)
      #expect(side.heard.end(left)?.state == .succeeded)
    }
  }

  @Test func eventsOfAFinishedJobEnd() async throws {
    let side = InMemoryCoordinator()
    try await DeskHome().life([(side, 4)]) { _ in
      let id = try #require(await side.offer(deskOffer("x", ["chunks": 2])).job)
      try await side.follow(id)
      var last: [CoordinatorEvent] = []
      for try await event in try await side.desk().events(id, aliveEvery: .milliseconds(1)) { last.append(event) }
      guard case .finished(let job)? = last.last else {
        Issue.record("\(last)")
        return
      }
      #expect(job.id == id)
    }
  }
}

extension Worker {
  /// What `pause`, `resume` and `drain` do.
  func setIntake(_ intake: Intake) {
    dispatcher.setIntake(intake)
    changes.notify()
  }
}

extension [CoordinatorEvent] {
  var chunks: [JobChunk] { compactMap { if case .chunk(let chunk) = $0 { chunk } else { nil } } }
}
