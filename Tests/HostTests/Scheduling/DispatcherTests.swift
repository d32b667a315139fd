import Synchronization
import Testing

@testable import Host

/// A value that several tasks of a test change.
final class Shared<Value: Sendable>: Sendable {
  private let value: Mutex<Value>
  init(_ value: Value) { self.value = Mutex(value) }
  func withLock<Result: Sendable>(_ body: @Sendable (inout Value) -> Result) -> Result { value.withLock { body(&$0) } }
}

extension Dispatcher {
  /// Waits for a job of the lanes that `serves` accepts, all of which are at hand.
  fileprivate func next(
    _ place: Place, isWarm: Bool, serves: @escaping @Sendable (JobLane) -> Bool
  ) async -> WaitingJob? {
    await next(place, isWarm: isWarm, rank: { serves($0) ? .ready(.loaded, pools: []) : nil })
  }
}

@Suite(.timeLimit(.minutes(1)))
struct DispatcherTests {
  let clock = ManualHostClock()

  /// Starts a wait and returns once it is in line.
  private func waiting(
    _ dispatcher: Dispatcher, _ place: Dispatcher.Place, warm: Bool = true, _ group: inout TaskGroup<WaitingJob?>,
    serves: @escaping @Sendable (JobLane) -> Bool = { _ in true }
  ) async {
    let before = dispatcher.placesWaiting
    group.addTask { await dispatcher.next(place, isWarm: warm, serves: serves) }
    while dispatcher.placesWaiting == before { await Task.yield() }
  }

  @Test func aWarmPlaceIsPreferred() async {
    let dispatcher = Dispatcher(clock: clock)
    await withTaskGroup(of: WaitingJob?.self) { group in
      let (cold, warm) = (dispatcher.makePlace(), dispatcher.makePlace())
      await waiting(dispatcher, cold, warm: false, &group)
      await waiting(dispatcher, warm, &group)
      dispatcher.enqueue(waitingJob(1))
      let first = await group.next()
      #expect(first??.id == jobID(1))
      #expect(dispatcher.placesWaiting == 1)
      dispatcher.retire(warm)
      #expect(dispatcher.placesWaiting == 1, "the cold place still waits")
      dispatcher.retire(cold)
      #expect(await group.next() == .some(nil))
    }
  }

  @Test func aColdPlaceGetsWhatNoWarmOneServes() async {
    let dispatcher = Dispatcher(clock: clock)
    await withTaskGroup(of: WaitingJob?.self) { group in
      await waiting(dispatcher, dispatcher.makePlace(), warm: false, &group) { $0.model == "b" }
      await waiting(dispatcher, dispatcher.makePlace(), &group) { $0.model == "a" }
      dispatcher.enqueue(waitingJob(1, model: "b"))
      #expect(await group.next()??.id == jobID(1))
      dispatcher.close()
      #expect(await group.next() == .some(nil))
    }
    #expect(await dispatcher.next(dispatcher.makePlace(), isWarm: true) { _ in true } == nil, "closed for good")
  }

  @Test func cancellingOneWaitLeavesTheOthersOfItsPlace() async {
    let dispatcher = Dispatcher(clock: clock)
    let place = dispatcher.makePlace()
    await withTaskGroup(of: WaitingJob?.self) { group in
      await waiting(dispatcher, place, &group)
      await withTaskGroup(of: WaitingJob?.self) { doomed in
        await waiting(dispatcher, place, &doomed)
        doomed.cancelAll()
        #expect(await doomed.next() == .some(nil))
      }
      #expect(dispatcher.placesWaiting == 1)
      dispatcher.enqueue(waitingJob(1))
      #expect(await group.next()??.id == jobID(1))
    }
    #expect(dispatcher.waiting == 0)
  }

  @Test func reservedJobsComeFirstAndAreNeverLost() async {
    let dispatcher = Dispatcher(clock: clock)
    dispatcher.enqueue(waitingJob(1))
    dispatcher.enqueue(waitingJob(2))
    let place = dispatcher.makePlace()
    let first = await dispatcher.next(place, isWarm: false) { _ in true }
    #expect(first?.id == jobID(1))
    dispatcher.reserve(waitingJob(1), for: place)
    #expect(await dispatcher.next(place, isWarm: true) { _ in false }?.id == jobID(1))

    dispatcher.reserve(waitingJob(1), for: place)
    dispatcher.retire(place)
    #expect(dispatcher.waiting == 2, "reserved, then retired")

    let second = dispatcher.makePlace()
    _ = await dispatcher.next(second, isWarm: false) { _ in true }
    dispatcher.retire(second)
    dispatcher.reserve(waitingJob(1), for: second)
    #expect(dispatcher.waiting == 2, "retired, then reserved")

    let third = dispatcher.makePlace()
    _ = await dispatcher.next(third, isWarm: false) { _ in true }
    dispatcher.reserve(waitingJob(1), for: third)
    dispatcher.forget(third)
    #expect(dispatcher.waiting == 2, "reserved, then forgotten")
  }

  @Test func nothingIsBegunWhilePausedOrDraining() async {
    let dispatcher = Dispatcher(clock: clock)
    for intake in [Intake.paused, .draining] {
      await withTaskGroup(of: WaitingJob?.self) { group in
        dispatcher.setIntake(intake)
        let place = dispatcher.makePlace()
        await waiting(dispatcher, place, &group)
        dispatcher.enqueue(waitingJob(1))
        #expect(dispatcher.placesWaiting == 1 && dispatcher.waiting == 1)
        dispatcher.setIntake(.open)
        #expect(await group.next()??.id == jobID(1))
        dispatcher.jobLeft(place)
      }
    }
  }

  @Test func theLimitHoldsOverAllPlaces() async {
    let dispatcher = Dispatcher(clock: clock, limit: 2)
    for number in 1...4 { dispatcher.enqueue(waitingJob(number)) }
    let (a, b) = (dispatcher.makePlace(), dispatcher.makePlace())
    #expect(await dispatcher.next(a, isWarm: true) { _ in true }?.id == jobID(1))
    #expect(await dispatcher.next(b, isWarm: true) { _ in true }?.id == jobID(2))
    await withTaskGroup(of: WaitingJob?.self) { group in
      await waiting(dispatcher, a, &group)
      #expect(dispatcher.placesWaiting == 1)
      dispatcher.giveBack(waitingJob(1), from: a)
      #expect(await group.next()??.id == jobID(1), "what came back goes first, and counts once")
      await waiting(dispatcher, a, &group)
      dispatcher.jobLeft(b)
      #expect(await group.next()??.id == jobID(3))
      await waiting(dispatcher, a, &group)
      #expect(dispatcher.waiting == 1)
      dispatcher.close()
    }
  }

  @Test func delayedJobsRingTheAlarmAndComeWithTheClock() async {
    let alarm = Nap()
    let dispatcher = Dispatcher(clock: clock, alarm: alarm)
    let due = clock.now().advanced(by: .seconds(30))
    await withTaskGroup(of: WaitingJob?.self) { group in
      await waiting(dispatcher, dispatcher.makePlace(), &group)
      dispatcher.enqueue(waitingJob(1, startableAt: due))
      await alarm.rest(nil)
      #expect(dispatcher.nextRelease == due && dispatcher.placesWaiting == 1)
      dispatcher.match()
      #expect(dispatcher.placesWaiting == 1)
      clock.advance(by: .seconds(30))
      dispatcher.match()
      #expect(await group.next()??.id == jobID(1))
    }
  }

  /// A wait that finds a delayed job due lets it go to whoever serves it.
  @Test func aNewWaitReleasesWhatIsDueForOthers() async {
    let dispatcher = Dispatcher(clock: clock)
    await withTaskGroup(of: WaitingJob?.self) { group in
      await waiting(dispatcher, dispatcher.makePlace(), &group) { $0.model == "m" }
      dispatcher.enqueue(waitingJob(1, startableAt: clock.now().advanced(by: .seconds(1))))
      clock.advance(by: .seconds(1))
      group.addTask { await dispatcher.next(dispatcher.makePlace(), isWarm: true) { $0.model == "other" } }
      #expect(await group.next()??.id == jobID(1))
      dispatcher.close()
    }
  }

  @Test func withdrawnJobsAreNotHandedOut() async {
    let dispatcher = Dispatcher(clock: clock)
    for number in 1...3 { dispatcher.enqueue(waitingJob(number, model: number == 3 ? "b" : "a")) }
    #expect(dispatcher.withdraw(jobID(1)))
    #expect(!dispatcher.withdraw(jobID(1)))
    #expect(dispatcher.withdrawAll { $0.model == "b" }.map(\.id) == [jobID(3)])
    #expect(await dispatcher.next(dispatcher.makePlace(), isWarm: true) { _ in true }?.id == jobID(2))
    #expect(!dispatcher.withdraw(jobID(2)), "it is out already")
  }

  /// Many places, restless: each job is handed out exactly once, and none is lost.
  @Test(arguments: [Int?.none, 3])
  func noJobIsLostOrDoubledUnderConcurrency(limit: Int?) async {
    let dispatcher = Dispatcher(limit: limit)
    let count = 1000
    let done = Shared<[JobID: Int]>([:])
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<8 {
        group.addTask {
          var numbers = SeededNumbers(UInt64(worker))
          while done.withLock({ $0.count }) < count {
            let place = dispatcher.makePlace()
            // Some waits are cut short by retirement or cancellation, from another task.
            let job = await withTaskGroup(of: WaitingJob?.self) { wait in
              wait.addTask {
                await dispatcher.next(place, isWarm: worker % 2 == 0) { $0.model == "m\(worker % 4)" || worker < 2 }
              }
              switch Int.random(in: 0..<6, using: &numbers) {
              case 0: dispatcher.retire(place)
              case 1: wait.cancelAll()
              default: break
              }
              return await wait.next() ?? nil
            }
            if let job {
              switch Int.random(in: 0..<5, using: &numbers) {
              case 0: dispatcher.giveBack(job, from: place)
              case 1:
                dispatcher.reserve(job, for: place)
              default:
                done.withLock { $0[job.id, default: 0] += 1 }
                dispatcher.jobLeft(place)
              }
            }
            dispatcher.forget(place)
            if done.withLock({ $0.count }) == count { dispatcher.close() }
          }
        }
      }
      group.addTask {
        for number in 0..<count {
          dispatcher.enqueue(waitingJob(number, model: "m\(number % 4)", priority: number % 3))
          if number % 50 == 0 {
            dispatcher.setIntake(.paused)
            await Task.yield()
            dispatcher.setIntake(.open)
          }
        }
      }
    }
    #expect(done.withLock { $0.count } == count)
    #expect(done.withLock { $0.values.allSatisfy { $0 == 1 } })
    #expect(dispatcher.waiting == 0)
  }

  /// The lane that waits for memory belongs to one place, the jobs that hold the memory to another.
  @Test func whoHasWaitedTooLongKeepsOthersBackAtOtherPlacesToo() async {
    let dispatcher = Dispatcher(clock: clock, maxWait: .seconds(30))
    await withTaskGroup(of: WaitingJob?.self) { group in
      let (images, texts) = (dispatcher.makePlace(), dispatcher.makePlace())
      group.addTask {
        await dispatcher.next(images, isWarm: true) { $0.model == "image" ? .blocked(pools: [.machine]) : nil }
      }
      while dispatcher.placesWaiting == 0 { await Task.yield() }
      let begun = clock.now()
      func job(_ number: Int, _ model: String) -> WaitingJob {
        WaitingJob(id: jobID(number), lane: JobLane(kind: .llm, model: model), queuedAt: begun)
      }
      dispatcher.enqueue(job(1, "image"))
      dispatcher.enqueue(job(2, "text"))
      let rank: @Sendable (JobLane) -> LaneRank? = { lane in
        lane.model == "text" ? .ready(.loaded, pools: [.machine]) : nil
      }
      #expect(await dispatcher.next(texts, isWarm: true, rank: rank)?.id == jobID(2), "its turn is not overdue yet")
      clock.advance(by: .seconds(31))
      dispatcher.enqueue(job(3, "text"))
      group.addTask { await dispatcher.next(texts, isWarm: true, rank: rank) }
      while dispatcher.placesWaiting < 2 { await Task.yield() }
      #expect(dispatcher.waiting == 2)
      // The image's user gives up: the texts go on.
      #expect(dispatcher.withdraw(jobID(1)))
      #expect(await group.next()??.id == jobID(3))
      dispatcher.close()
    }
  }

  @Test func whatCannotBeDoneHereGoesToAPlaceThatCan() async {
    let dispatcher = Dispatcher(clock: clock)
    await withTaskGroup(of: WaitingJob?.self) { group in
      let (able, unable) = (dispatcher.makePlace(), dispatcher.makePlace())
      group.addTask { await dispatcher.next(unable, isWarm: true) { _ in .ready(.hopeless, pools: []) } }
      group.addTask { await dispatcher.next(able, isWarm: false) { _ in .ready(.swap, pools: []) } }
      while dispatcher.placesWaiting < 2 { await Task.yield() }
      dispatcher.enqueue(waitingJob(1))
      #expect(await group.next()??.id == jobID(1))
      dispatcher.retire(unable)
      #expect(await group.next() == .some(nil), "the place that cannot has got nothing")
      // When there is no other, it is taken all the same, so that somebody hears why.
      dispatcher.enqueue(waitingJob(2))
      #expect(
        await dispatcher.next(dispatcher.makePlace(), isWarm: true) { _ in .ready(.hopeless, pools: []) }?.id
          == jobID(2))
    }
  }
}
