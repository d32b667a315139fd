import PluginProtocol
import Synchronization

/// A request that one client waits for.
struct ControlRequest: Sendable {
  let id: RequestID
  let method: String
  let params: JSONValue
}

/// One client, between the thread that owns its descriptor and the tasks that answer it.
final class ControlLink: Sendable {
  private struct State {
    /// Frames that the thread has not taken yet.
    var queued: [UInt8] = []
    /// What the thread has taken and the client has not read.
    var inHand = 0
    var running: Set<RequestID> = []
    var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var lastWaiter: UInt64 = 0
    /// Nothing can reach the client any more.
    var closed = false
    /// No task of this client is left.
    var served = false

    var isFull: Bool { queued.count + inHand >= ControlProtocol.highWaterBytes }

    mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
      defer { waiters = [:] }
      return Array(waiters.values)
    }
  }

  /// What the client asks, in order; ends when it is gone or the server stops.
  let requests: AsyncStream<ControlRequest>
  private let feed: AsyncStream<ControlRequest>.Continuation
  private let wake: WakePipe
  private let state = Mutex(State())

  init(wake: WakePipe) {
    self.wake = wake
    // Bounded by `maximumRequests`, which the thread keeps.
    (requests, feed) = AsyncStream.makeStream(of: ControlRequest.self)
  }

  // MARK: For tasks

  /// Queues a frame for the client, after waiting for room.
  ///
  /// - Parameter droppable: When the task is cancelled: true drops the frame, false queues it at once.
  func send(_ frame: [UInt8], droppable: Bool) async {
    while true {
      let queued = state.withLock { state in
        if state.closed || (droppable && Task.isCancelled) { return true }
        if state.isFull && !Task.isCancelled { return false }
        state.queued.append(contentsOf: frame)
        return true
      }
      if queued { return wake.ring() }
      await waitForRoom()
    }
  }

  /// The request has been answered.
  func finish(_ id: RequestID) {
    state.withLock { _ = $0.running.remove(id) }
    wake.ring()
  }

  /// All tasks of this client have ended.
  func markServed() {
    state.withLock { $0.served = true }
    wake.ring()
  }

  private func waitForRoom() async {
    let id = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state in
          guard state.isFull, !state.closed, !Task.isCancelled else { return true }
          state.waiters[id] = continuation
          return false
        }
        if now { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
  }

  // MARK: For the thread

  /// True when another request may be begun.
  var hasRoomForRequest: Bool { state.withLock { $0.running.count < ControlProtocol.maximumRequests } }
  /// True while the client is behind in reading.
  var isFull: Bool { state.withLock { $0.isFull } }
  /// True when nothing is being done for the client.
  var isIdle: Bool { state.withLock { $0.running.isEmpty && $0.queued.isEmpty && $0.inHand == 0 } }
  var isServed: Bool { state.withLock { $0.served } }
  var hasQueued: Bool { state.withLock { !$0.queued.isEmpty } }

  /// Begins a request; false when one of that id is under way.
  func begin(_ request: ControlRequest) -> Bool {
    guard state.withLock({ $0.running.insert(request.id).inserted }) else { return false }
    feed.yield(request)
    return true
  }

  /// Queues a frame without waiting, for answers that the thread itself gives.
  func queue(_ frame: [UInt8]) { state.withLock { $0.queued.append(contentsOf: frame) } }

  /// Takes all queued bytes.
  func take() -> [UInt8] {
    state.withLock { state in
      let bytes = state.queued
      state.queued = []
      state.inHand += bytes.count
      return bytes
    }
  }

  /// The client's side has taken some of the bytes in hand.
  func sent(_ count: Int) {
    resume(
      state.withLock { state in
        state.inHand -= count
        guard state.queued.count + state.inHand < ControlProtocol.highWaterBytes / 2 else { return [] }
        return state.takeWaiters()
      })
  }

  /// No more requests are begun; those under way are cancelled by their task group.
  func endRequests() { feed.finish() }

  /// The descriptor is closed: whatever is sent from now on is dropped.
  func closed() {
    feed.finish()
    resume(
      state.withLock { state in
        state.closed = true
        state.queued = []
        state.inHand = 0
        return state.takeWaiters()
      })
  }

  private func resume(_ waiters: [CheckedContinuation<Void, Never>]) {
    for waiter in waiters { waiter.resume() }
  }
}
