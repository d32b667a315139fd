import PluginProtocol
import Synchronization

@testable import Host

/// A coordinator without a wire: the test is the other side. It can do whatever a real one has to.
final class InMemoryCoordinator: Coordinator {
  enum Style: Sendable {
    /// Jobs are pushed at the worker, as over a WebSocket.
    case push
    /// The worker's side asks for jobs while there is room, as over HTTP or a long poll.
    case poll
  }

  /// Everything that was heard.
  struct Journal: Sendable {
    var capabilities: [WorkerCapabilities] = []
    var answers: [String: [OfferAnswer]] = [:]
    var events: [JobID: [CoordinatorEvent]] = [:]
    /// Results as they arrived over there, in order.
    var deliveries: [Job] = []
    var desk: (any CoordinatorDesk)?
    var backlog: [JobOffer] = []
    var lives = 0

    func end(_ id: JobID) -> Job? {
      guard case .finished(let job)? = events[id]?.last else { return nil }
      return job
    }
  }

  private enum Order: Sendable {
    case offer(JobOffer, CheckedContinuation<OfferAnswer, Never>)
  }

  let name: String
  private let style: Style
  private let acknowledges: Bool
  private let journal: Mutex<Journal>
  private let news = Nap()
  private let pollNews = Nap()
  private let orders: AsyncStream<Order>
  private let order: AsyncStream<Order>.Continuation

  /// - Parameter acknowledges: false for a side that takes results without ever confirming them.
  init(_ name: String = "memory", style: Style = .push, acknowledges: Bool = true, backlog: [JobOffer] = []) {
    self.name = name
    self.style = style
    self.acknowledges = acknowledges
    var initial = Journal()
    initial.backlog = backlog
    journal = Mutex(initial)
    (orders, order) = AsyncStream.makeStream(of: Order.self)
  }

  // MARK: The test's side

  var heard: Journal { journal.withLock { $0 } }

  func offer(_ offer: JobOffer) async -> OfferAnswer {
    await withCheckedContinuation { order.yield(.offer(offer, $0)) }
  }

  /// Waits until what was heard satisfies `isReached`. One task at a time.
  @discardableResult
  func wait(_ awaited: String, _ isReached: (Journal) -> Bool) async throws -> Journal {
    let clock = SystemHostClock()
    let deadline = clock.now().advanced(by: .seconds(30))
    while true {
      let journal = heard
      if isReached(journal) { return journal }
      let left = clock.now().duration(to: deadline)
      guard left > .zero else { throw NotHeard(awaited: awaited, journal: journal) }
      await news.rest(left)
    }
  }

  struct NotHeard: Error, CustomStringConvertible {
    let awaited: String
    let journal: Journal
    var description: String { "\(awaited) did not come: \(journal)" }
  }

  // MARK: The worker's side

  func run(_ desk: any CoordinatorDesk) async throws {
    note { journal in
      journal.desk = desk
      journal.lives += 1
    }
    for job in try await desk.undelivered() { try await deliver(job, desk) }
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask {
        for await capabilities in desk.capabilities() {
          self.note { $0.capabilities.append(capabilities) }
          self.pollNews.wake()
        }
      }
      if style == .poll { group.addTask { await self.poll(desk) } }
      for await order in orders {
        guard case .offer(let offer, let answer) = order else { continue }
        group.addTask { answer.resume(returning: await self.hand(offer, to: desk)) }
      }
    }
  }

  /// Offers, and on acceptance follows the job from a task that outlives the offer.
  private func hand(_ offer: JobOffer, to desk: any CoordinatorDesk) async -> OfferAnswer {
    let answer = await desk.offer(offer)
    note { $0.answers[offer.remoteID, default: []].append(answer) }
    return answer
  }

  /// Follows an accepted job to its end.
  func follow(_ id: JobID, aliveEvery interval: Duration = .milliseconds(20)) async throws {
    let desk = try await desk()
    for try await event in desk.events(id, aliveEvery: interval) {
      note { $0.events[id, default: []].append(event) }
      if case .finished(let job) = event { try await deliver(job, desk) }
    }
  }

  func desk() async throws -> any CoordinatorDesk {
    guard let desk = try await wait("a desk", { $0.desk != nil }).desk else { throw CancellationError() }
    return desk
  }

  private func deliver(_ job: Job, _ desk: any CoordinatorDesk) async throws {
    note { $0.deliveries.append(job) }
    if acknowledges { try await desk.delivered(job.id) }
  }

  private func poll(_ desk: any CoordinatorDesk) async {
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        let next: JobOffer? = journal.withLock { journal in
          guard let now = journal.capabilities.last, now.openness == .open, now.jobsInHand < now.maxJobs else {
            return nil
          }
          return journal.backlog.first
        }
        guard let next else {
          await pollNews.rest(nil)
          continue
        }
        let answer = await hand(next, to: desk)
        guard case .accepted(let id) = answer else {
          await pollNews.rest(nil)
          continue
        }
        note { $0.backlog.removeFirst() }
        group.addTask {
          do { try await self.follow(id) } catch {
            self.note { $0.answers[next.remoteID]?.append(.rejected(.init(.resource, "\(error)"))) }
          }
        }
      }
    }
  }

  private func note(_ body: (inout Journal) -> Void) {
    journal.withLock { body(&$0) }
    news.wake()
  }
}
