import Glibc
import PluginProtocol
import Synchronization

/// The one thread that owns every descriptor of the control socket. It sleeps in `poll` until something happens.
final class ControlReactor: Sendable {
  /// Each client once, when it has connected; ends when the server stops.
  let links: AsyncStream<ControlLink>
  private let newLinks: AsyncStream<ControlLink>.Continuation
  private let wake: WakePipe
  private let listener: CInt
  private let stopping = Atomic<Bool>(false)

  /// How long answers may take to leave after the server was stopped.
  private static let flushLimit: Duration = .seconds(1)
  /// How long no client is accepted after the system refused to.
  private static let acceptPauseMilliseconds: CInt = 1000

  /// - Parameter listener: Stays open until ``run()`` has returned; not closed here.
  init(listener: CInt) throws(ControlError) {
    self.listener = listener
    wake = try WakePipe()
    // Bounded by `maximumConnections`.
    (links, newLinks) = AsyncStream.makeStream(of: ControlLink.self)
  }

  /// Serves until ``stop()``; all descriptors are closed when it returns. Call it once.
  func run() async -> Bool {
    defer { newLinks.finish() }
    return await withCheckedContinuation { continuation in
      let status = DetachedThread.start(named: "control") {
        self.loop()
        continuation.resume(returning: true)
      }
      if status != 0 { continuation.resume(returning: false) }
    }
  }

  /// Accepts and reads nothing more, lets the answers leave, and ends.
  func stop() {
    stopping.store(true, ordering: .sequentiallyConsistent)
    wake.ring()
  }

  private func loop() {
    var clients: [ControlClient] = []
    var accepting = true
    var deadline: ContinuousClock.Instant?
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      if stopping.load(ordering: .sequentiallyConsistent), deadline == nil {
        deadline = .now + ControlReactor.flushLimit
        newLinks.finish()
        for client in clients { client.link.endRequests() }
      }
      if let deadline {
        let late = ContinuousClock.now >= deadline
        for index in clients.indices where late || (clients[index].link.isServed && clients[index].isFlushed) {
          clients[index].close()
        }
        if clients.allSatisfy(\.isClosed) { return }
      }
      clients.removeAll { $0.isClosed && $0.link.isServed }
      let ready = wait(for: clients, accepting: accepting && deadline == nil, deadline: deadline)
      if ready[0] != 0 { wake.clear() }
      for index in clients.indices { clients[index].advance(ready: ready[index + 2], buffer: buffer) }
      if ready[1] != 0 || !accepting { accepting = accept(into: &clients) }
    }
  }

  /// Waits, and returns what is ready: the wake pipe, the listener, then each client.
  private func wait(
    for clients: [ControlClient], accepting: Bool, deadline: ContinuousClock.Instant?
  ) -> [Int16] {
    var descriptors = [
      pollfd(fd: wake.readEnd, events: Int16(POLLIN), revents: 0),
      pollfd(fd: accepting ? listener : -1, events: Int16(POLLIN), revents: 0),
    ]
    for client in clients {
      // A negative descriptor is skipped by poll.
      let events = deadline == nil ? client.interest : client.interest & Int16(POLLOUT)
      descriptors.append(pollfd(fd: client.isClosed ? -1 : client.descriptor, events: events, revents: 0))
    }
    var timeout: CInt = -1
    if deadline != nil {
      timeout = 100
    } else if !accepting {
      timeout = ControlReactor.acceptPauseMilliseconds
    }
    guard poll(&descriptors, nfds_t(descriptors.count), timeout) > 0 else {
      return [Int16](repeating: 0, count: descriptors.count)
    }
    return descriptors.map(\.revents)
  }

  /// Accepts who is waiting; false when the system has no descriptor left for it.
  private func accept(into clients: inout [ControlClient]) -> Bool {
    while true {
      let descriptor = Glibc.accept(listener, nil, nil)
      guard descriptor >= 0 else {
        switch errno {
        case EINTR, ECONNABORTED: continue
        case EAGAIN: return true
        default: return false
        }
      }
      Descriptor.prepare(descriptor)
      if let refusal = refusal(of: descriptor, among: clients.count) {
        let frame = Envelope.failure(id: nil, error: refusal).frame
        _ = send(descriptor, frame, frame.count, CInt(MSG_NOSIGNAL))
        close(descriptor)
        continue
      }
      let link = ControlLink(wake: wake)
      clients.append(ControlClient(descriptor: descriptor, link: link))
      newLinks.yield(link)
    }
  }

  private func refusal(of descriptor: CInt, among count: Int) -> RPCError? {
    guard let user = Descriptor.peerUser(descriptor), user == geteuid() || user == 0 else {
      return RPCError(control: .badInput, "only the worker's own user may talk to it")
    }
    guard count < ControlProtocol.maximumConnections else {
      return RPCError(control: .busy, "the worker has \(count) clients, which is its limit; try again later")
    }
    return nil
  }
}
