import PluginProtocol
import Synchronization
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(1)))
struct LiveJobsTests {
  /// What an engine would have heard.
  final class Engine: Sendable {
    let credits = Mutex<[Int]>([])
    let cancels = Mutex(0)
    var handle: LiveJobs.Handle {
      LiveJobs.Handle(
        cancel: { self.cancels.withLock { $0 += 1 } },
        credit: { through in self.credits.withLock { $0.append(through) } })
    }
    var credit: Int { credits.withLock { $0.max() ?? 64 } }
  }

  let live = LiveJobs()
  let job = jobID(1)

  private func chunk(_ seq: Int, _ text: String? = nil, data: JSONValue? = nil) -> JobChunk {
    JobChunk(jobID: job.description, seq: seq, text: data == nil ? text ?? "\(seq)" : nil, data: data)
  }

  /// All that a watcher gets, chunks by their sequence.
  private func watch(settled: JobState? = nil, chunks: Bool = true, until: Int = .max) async -> [LiveEvent] {
    var events: [LiveEvent] = []
    await live.watch(job, chunks: chunks, settled: { settled }) { event in
      events.append(event)
      return events.count < until
    }
    return events
  }

  @Test func aLateWatcherSeesItAll() async {
    let engine = Engine()
    #expect(live.begin(job, attempt: 1, handle: engine.handle))
    for seq in 1...200 { live.take(job, attempt: 1, chunk(seq)) }
    live.finished(job, .succeeded)
    let events = await watch()
    #expect(events == [.running(attempt: 1)] + (1...200).map { .chunk(chunk($0)) } + [.finished(.succeeded)])
    #expect(engine.credit >= 200, "nobody watched: the engine must not be held up")
  }

  @Test func twoWatchersSeeTheSame() async {
    let engine = Engine()
    async let first = watch()
    async let second = watch()
    _ = live.begin(job, attempt: 1, handle: engine.handle)
    for seq in 1...500 {
      while engine.credit < seq { await Task.yield() }
      live.take(job, attempt: 1, chunk(seq))
    }
    live.finished(job, .succeeded)
    let expected = [LiveEvent.running(attempt: 1)] + (1...500).map { .chunk(chunk($0)) } + [.finished(.succeeded)]
    #expect(await first == expected)
    #expect(await second == expected)
  }

  @Test func aSlowWatcherWithholdsCreditAndItsLeavingGivesIt() async {
    let engine = Engine()
    _ = live.begin(job, attempt: 1, handle: engine.handle)
    let gate = Nap()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await live.watch(job, chunks: true, settled: { nil }) { _ in
          await gate.rest(nil)
          return false
        }
      }
      while live.watchers(job) == 0 { await Task.yield() }
      var sent = 0
      while sent < engine.credit, sent < 10_000 {
        sent += 1
        live.take(job, attempt: 1, chunk(sent))
        await Task.yield()
      }
      #expect(sent <= 160, "the engine ran on to \(sent) past a watcher that stands still")
      gate.wake()
      await group.next()
      #expect(engine.credit >= sent + 32, "its leaving must let the engine go on")
    }
  }

  @Test func aWatcherThatIsCancelledLeaves() async {
    let engine = Engine()
    _ = live.begin(job, attempt: 1, handle: engine.handle)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { _ = await watch() }
      while live.watchers(job) == 0 { await Task.yield() }
      group.cancelAll()
    }
    #expect(live.watchers(job) == 0)
  }

  @Test(arguments: [false, true])
  func historyIsBoundedAndTheGapIsSaid(asData: Bool) async {
    let engine = Engine()
    _ = live.begin(job, attempt: 1, handle: engine.handle)
    let big = String(repeating: "x", count: 100_000)
    for seq in 1...100 { live.take(job, attempt: 1, chunk(seq, big, data: asData ? ["pcm": .string(big)] : nil)) }
    live.finished(job, .succeeded)
    let events = await watch()
    #expect(events.first == .gap)
    #expect(events.last == .finished(.succeeded))
    let kept = events.compactMap { if case .chunk(let chunk) = $0 { chunk.seq } else { nil } }
    #expect(kept.count < 15 && kept == Array((101 - kept.count)...100), "10 MB of chunks, 1 MiB kept: \(kept)")
    let quiet = await watch(chunks: false)
    #expect(!quiet.contains(.gap))
  }

  /// Credit bounds what a watcher has not read: none of that is dropped, however big.
  @Test func whatAWatcherHasNotReadIsKept() async {
    let engine = Engine()
    _ = live.begin(job, attempt: 1, handle: engine.handle)
    let gate = Nap()
    let seen = Shared<[LiveEvent]>([])
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        var isFirst = true
        await live.watch(job, chunks: true, settled: { nil }) { event in
          if isFirst { await gate.rest(nil) }
          isFirst = false
          seen.withLock { $0.append(event) }
          return true
        }
      }
      while live.watchers(job) == 0 { await Task.yield() }
      let big = String(repeating: "x", count: 100_000)
      for seq in 1...64 { live.take(job, attempt: 1, chunk(seq, big)) }
      live.finished(job, .succeeded)
      gate.wake()
    }
    let seqs = seen.withLock { $0.compactMap { if case .chunk(let chunk) = $0 { chunk.seq } else { nil } } }
    #expect(seqs == Array(1...64))
    #expect(!seen.withLock { $0.contains(.gap) })
  }

  @Test func aLostAttemptBeginsAnew() async {
    let (first, second) = (Engine(), Engine())
    _ = live.begin(job, attempt: 1, handle: first.handle)
    for seq in 1...40 { live.take(job, attempt: 1, chunk(seq)) }
    live.requeued(job)
    #expect(live.running.isEmpty)
    live.take(job, attempt: 1, chunk(41))
    _ = live.begin(job, attempt: 2, handle: second.handle)
    live.take(job, attempt: 1, chunk(42))
    live.report(job, attempt: 1, JobProgress(jobID: "x", step: 9))
    #expect(live.progress(job) == nil, "progress of an attempt that is over")
    live.take(job, attempt: 2, chunk(1))
    live.finished(job, .succeeded)
    let events = await watch()
    let tail = Array(events.drop { $0 != .restart(attempt: 2) })
    #expect(tail == [.restart(attempt: 2), .chunk(chunk(1)), .finished(.succeeded)])
    #expect(!events.contains(.chunk(chunk(42))))
  }

  /// A watcher that is still reading the lost attempt's chunks must not be counted as having read the new one's.
  @Test func chunksOfALostAttemptEarnNoCredit() async {
    let (first, second) = (Engine(), Engine())
    _ = live.begin(job, attempt: 1, handle: first.handle)
    for seq in 1...64 { live.take(job, attempt: 1, chunk(seq)) }
    live.requeued(job)
    _ = live.begin(job, attempt: 2, handle: second.handle)
    let gate = Nap()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        var count = 0
        await live.watch(job, chunks: true, settled: { nil }) { _ in
          count += 1
          guard count == 60 else { return true }
          await gate.rest(nil)
          return false
        }
      }
      // The watcher has read most of the first attempt when it takes its second lot.
      while live.watchers(job) == 0 { await Task.yield() }
      var sent = 0
      while sent < second.credit, sent < 1000 {
        sent += 1
        live.take(job, attempt: 2, chunk(sent))
        for _ in 0..<20 { await Task.yield() }
      }
      #expect(sent == 64, "the watcher has read nothing of attempt 2, and \(sent) chunks of it came")
      gate.wake()
    }
  }

  @Test func progressIsTheLatestOnly() async {
    let engine = Engine()
    _ = live.begin(job, attempt: 1, handle: engine.handle)
    live.loading(job, model: "m", fraction: 0.5)
    #expect(await watch(until: 2) == [.running(attempt: 1), .loading(model: "m", fraction: 0.5)])
    for step in 0..<1000 { live.report(job, attempt: 1, JobProgress(jobID: "x", step: step)) }
    #expect(await watch(until: 2) == [.running(attempt: 1), .progress(JobProgress(jobID: "x", step: 999))])
    #expect(live.progress(job)?.step == 999)
    live.finished(job, .failed)
    #expect(await watch() == [.running(attempt: 1), .finished(.failed)])
  }

  @Test func aJobThatIsStoredAsFinishedEndsTheWatch() async {
    #expect(await watch(settled: .cancelled) == [.finished(.cancelled)])
    #expect(await watch(settled: .cancelled) == [.finished(.cancelled)], "and again")
  }

  @Test func theEndIsToldOnce() async {
    live.finished(job, .succeeded)
    live.finished(job, .failed)
    #expect(await watch() == [.finished(.succeeded)])
  }

  @Test func aCancelBeforeTheBeginningIsNotLost() {
    let engine = Engine()
    #expect(!live.cancel(job), "unknown")
    live.announce(job)
    #expect(!live.cancel(job), "it does not run")
    #expect(!live.begin(job, attempt: 1, handle: engine.handle))
    #expect(live.isCancelRequested(job))
    live.finished(job, .cancelled)
    #expect(live.running.isEmpty)
  }

  @Test func aCancelReachesTheEngineThatRunsIt() {
    let engine = Engine()
    _ = live.begin(job, attempt: 1, handle: engine.handle)
    #expect(live.cancel(job) && live.cancel(job))
    #expect(engine.cancels.withLock { $0 } == 2)
    live.requeued(job)
    #expect(!live.cancel(job))
  }

  @Test func untilIdleWaitsForTheLastAndCanBeCancelled() async {
    await live.untilIdle()
    _ = live.begin(job, attempt: 1, handle: Engine().handle)
    _ = live.begin(jobID(2), attempt: 1, handle: Engine().handle)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await live.untilIdle() }
      group.addTask { await live.untilIdle() }
      live.requeued(job)
      live.finished(jobID(2), .succeeded)
    }
    _ = live.begin(job, attempt: 2, handle: Engine().handle)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await live.untilIdle() }
      group.cancelAll()
    }
    #expect(live.running == [job])
  }

  @Test func finishedJobsAreForgottenInTheEnd() async {
    for number in 1...500 {
      live.announce(jobID(number))
      _ = live.begin(jobID(number), attempt: 1, handle: Engine().handle)
      live.finished(jobID(number), .succeeded)
    }
    for number in 1000...1100 {
      live.announce(jobID(number))
      live.retract(jobID(number))
    }
    #expect(live.known <= LiveJobs.finishedKept)
  }
}
