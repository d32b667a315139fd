import Synchronization
import Testing

@testable import Host

/// Suspects in line: alone in their process, never before their turn, never left behind.
@Suite(.timeLimit(.minutes(1)))
struct SolitudeTests {
  let clock = ManualHostClock()
  private static let everything: @Sendable (JobLane) -> LaneRank? = { _ in .ready(.loaded, pools: []) }

  private func suspect(_ number: Int, priority: Int = 0) -> WaitingJob {
    var job = waitingJob(number, priority: priority)
    job.isAlone = true
    return job
  }

  /// The job that a place gets at once; nil when it has to wait, and then it waits no more.
  private func taken(_ dispatcher: Dispatcher, _ place: Dispatcher.Place) async -> JobID? {
    await withTaskGroup(of: WaitingJob?.self) { group in
      let before = dispatcher.placesWaiting
      let answer = Shared<WaitingJob?>(nil)
      group.addTask {
        let job = await dispatcher.next(place, isWarm: true, rank: SolitudeTests.everything)
        answer.withLock { $0 = job }
        return job
      }
      while dispatcher.placesWaiting == before, answer.withLock({ $0 }) == nil { await Task.yield() }
      group.cancelAll()
      return await group.next()??.id
    }
  }

  @Test func aSuspectWaitsUntilItsProcessIsEmptyAndNobodyJoinsIt() async {
    let dispatcher = Dispatcher(clock: clock)
    let place = dispatcher.makePlace()
    dispatcher.enqueue(waitingJob(1))
    #expect(await taken(dispatcher, place) == jobID(1))
    dispatcher.enqueue(suspect(2))
    dispatcher.enqueue(waitingJob(3))
    #expect(await taken(dispatcher, place) == nil, "the process is being emptied for 2, and 3 stands behind it")
    dispatcher.jobLeft(place)
    #expect(await taken(dispatcher, place) == jobID(2))
    #expect(await taken(dispatcher, place) == nil, "2 has the process to itself")
    dispatcher.jobLeft(place)
    #expect(await taken(dispatcher, place) == jobID(3))
  }

  @Test func onlyOneProcessIsEmptiedAndTheOthersGoOn() async {
    let dispatcher = Dispatcher(clock: clock)
    let (a, b) = (dispatcher.makePlace(), dispatcher.makePlace())
    for number in 1...2 { dispatcher.enqueue(waitingJob(number)) }
    #expect(await taken(dispatcher, a) == jobID(1))
    #expect(await taken(dispatcher, b) == jobID(2))
    dispatcher.enqueue(suspect(3))
    for number in 4...5 { dispatcher.enqueue(waitingJob(number)) }
    #expect(await taken(dispatcher, a) == nil, "emptied for 3")
    #expect(await taken(dispatcher, b) == jobID(4))
    // The other one is empty first: the suspect goes there, and the first is free again.
    dispatcher.jobLeft(b)
    dispatcher.jobLeft(b)
    #expect(await taken(dispatcher, b) == jobID(3))
    #expect(await taken(dispatcher, a) == jobID(5))
  }

  @Test func whatIsMoreUrgentGoesFirst() async {
    let dispatcher = Dispatcher(clock: clock)
    let place = dispatcher.makePlace()
    dispatcher.enqueue(waitingJob(1))
    #expect(await taken(dispatcher, place) == jobID(1))
    dispatcher.enqueue(suspect(2))
    #expect(await taken(dispatcher, place) == nil)
    dispatcher.enqueue(waitingJob(3, priority: 5))
    #expect(await taken(dispatcher, place) == jobID(3))
  }

  @Test func aSuspectThatIsCancelledHoldsNobodyUp() async {
    let dispatcher = Dispatcher(clock: clock)
    let place = dispatcher.makePlace()
    dispatcher.enqueue(waitingJob(1))
    #expect(await taken(dispatcher, place) == jobID(1))
    dispatcher.enqueue(suspect(2))
    dispatcher.enqueue(waitingJob(3))
    #expect(await taken(dispatcher, place) == nil)
    #expect(dispatcher.withdraw(jobID(2)))
    #expect(await taken(dispatcher, place) == jobID(3))
  }

  @Test func aProcessThatDiesWhileItIsEmptiedLeavesTheSuspectToAnother() async {
    let dispatcher = Dispatcher(clock: clock)
    let (a, b) = (dispatcher.makePlace(), dispatcher.makePlace())
    for number in 1...2 { dispatcher.enqueue(waitingJob(number)) }
    #expect(await taken(dispatcher, a) == jobID(1))
    #expect(await taken(dispatcher, b) == jobID(2))
    dispatcher.enqueue(suspect(3))
    dispatcher.enqueue(waitingJob(4))
    #expect(await taken(dispatcher, a) == nil)
    dispatcher.retire(a)
    #expect(await taken(dispatcher, b) == nil, "now this one is emptied for 3")
    dispatcher.jobLeft(b)
    #expect(await taken(dispatcher, b) == jobID(3))
  }

  /// Several processes with several places each, jobs that come back as suspects: each ends once, suspects are alone.
  @Test(arguments: [1, 2, 5]) func nothingIsLostAndSuspectsAreAlone(processes: Int) async {
    let dispatcher = Dispatcher()
    let count = 400
    let done = Shared<Set<JobID>>([])
    let inHand = Shared<[Int: [WaitingJob]]>([:])
    let broken = Shared<[String]>([])
    await withTaskGroup(of: Void.self) { group in
      for process in 0..<processes {
        let place = dispatcher.makePlace()
        for lane in 0..<4 {
          group.addTask {
            var numbers = SeededNumbers(UInt64(process * 4 + lane))
            while var job = await dispatcher.next(place, isWarm: true, rank: SolitudeTests.everything) {
              let taken = job
              inHand.withLock { inHand in
                inHand[process, default: []].append(taken)
                let jobs = inHand[process] ?? []
                if jobs.count > 1, jobs.contains(where: \.isAlone) {
                  broken.withLock { $0.append("\(jobs.map(\.id))") }
                }
              }
              for _ in 0..<Int.random(in: 0..<4, using: &numbers) { await Task.yield() }
              inHand.withLock { inHand in inHand[process]?.removeAll { $0.id == taken.id } }
              // Some are lost: they come back to be tried alone.
              if !job.isAlone, Int.random(in: 0..<4, using: &numbers) == 0 {
                job.isAlone = true
                dispatcher.enqueue(job)
              } else {
                done.withLock { _ = $0.insert(taken.id) }
              }
              dispatcher.jobLeft(place)
              if done.withLock({ $0.count }) == count { dispatcher.close() }
            }
          }
        }
      }
      for number in 0..<count { dispatcher.enqueue(waitingJob(number, model: "m\(number % 3)", priority: number % 2)) }
    }
    #expect(broken.withLock { $0 }.isEmpty)
    #expect(done.withLock { $0.count } == count && dispatcher.waiting == 0)
  }
}
