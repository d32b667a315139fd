import CLinux
import Glibc
import PluginProtocol
import Synchronization

/// One process of the engine under test, started as the host starts it, at the end of a wire that can say anything.
///
/// Used by one thread. Every wait has a deadline. `end()` leaves nothing of the process behind.
final class RawEngine {
  /// How the process ended.
  enum Exit: Equatable {
    case status(Int32)
    case signal(Int32)
    case notStarted(ProcessStatusRecord.Step, Int32)

    var text: String {
      switch self {
      case .status(let code): "exit status \(code)"
      case .signal(let number): "killed by \(SignalNames.name(number))"
      case .notStarted(let step, let code):
        "it could not be started (\(step.rawValue): \(String(cString: strerror(code))))"
      }
    }
  }

  let process: SpawnedProcess
  private let clock: SystemHostClock
  private let cancel: CancelSignal
  private let observers: [any WireObserver]
  /// The end of the running check's time, and whether that is the end of the whole suite's.
  var limit: (at: MonotonicInstant, isWhole: Bool)

  private(set) var watch = ProtocolWatch()
  private(set) var answers: [Int64: ProtocolWatch.Answer] = [:]
  /// Notifications since the last `takeNotifications()`.
  private(set) var notifications: [(method: String, params: JSONValue)] = []
  private(set) var wire: [String] = []
  private(set) var pid: Int32?
  private(set) var exit: Exit?
  private(set) var isOutputOpen = true
  /// What the handshake agreed on.
  var greeting: JSONValue?
  /// The model that is loaded, by id.
  var loaded: String?

  private var framer = LineFramer()
  private var errors = StderrTail()
  private var status = ProcessStatusParser()
  private var isErrorOpen = true
  private var isStatusOpen = true
  private var isInputBroken = false
  private var pending: [UInt8] = []
  private var sent = 0
  private var lastID: Int64 = 0
  private var buffer = [UInt8](repeating: 0, count: 1 << 16)

  init(
    _ spec: ProcessSpec, clock: SystemHostClock, cancel: CancelSignal, limit: (at: MonotonicInstant, isWhole: Bool),
    observers: [any WireObserver] = []
  ) throws {
    self.observers = observers
    self.clock = clock
    self.cancel = cancel
    self.limit = limit
    process = try RawEngine.spawn(spec)
  }

  private static func spawn(_ spec: ProcessSpec) throws -> SpawnedProcess {
    final class Box: Sendable {
      let result = Mutex<Result<SpawnedProcess, SpawnError>?>(nil)
    }
    let done = linux_eventfd(0)
    guard done >= 0 else { throw SpawnError.host(operation: "making an eventfd", errno: -done) }
    let box = Box()
    ProcessSpawner().spawn(spec) { result in
      box.result.withLock { $0 = result }
      _ = linux_eventfd_signal(done)
    }
    _ = linux_eventfd_wait(done)
    close(done)
    guard let result = box.result.withLock({ $0 }) else { throw CancellationError() }
    return try result.get()
  }

  var now: MonotonicInstant { clock.now() }
  /// The last lines of stderr, oldest first.
  var stderrTail: [String] { errors.lines.suffix(8).map { $0.count > 200 ? $0.prefix(200) + "…" : $0 } }

  func setLineLimit(_ bytes: Int) { framer.limit = bytes }

  func takeNotifications() -> [(method: String, params: JSONValue)] {
    defer { notifications = [] }
    return notifications
  }

  func take(answer id: Int64) -> ProtocolWatch.Answer? { answers.removeValue(forKey: id) }

  func takeFindings() -> [ProtocolWatch.Finding] { watch.takeFindings() }

  func takeWire() -> [String] {
    defer { wire = [] }
    return wire
  }

  // MARK: Saying

  /// Queues bytes for the engine's stdin; they are written while anything is waited for.
  func write(_ bytes: [UInt8]) {
    if sent == pending.count {
      pending = []
      sent = 0
    }
    pending += bytes
    note("->", bytes.last == 0x0A ? Array(bytes.dropLast()) : bytes)
  }

  /// Sends a request and returns its id.
  @discardableResult
  func request(_ method: String, _ params: JSONValue = [:]) -> Int64 {
    lastID += 1
    watch.sent(request: lastID, method: method, params: params)
    write(Envelope.request(id: .number(lastID), method: method, params: params).frame)
    return lastID
  }

  /// Takes an id for a request that is written by hand.
  func announce(_ method: String) -> Int64 {
    lastID += 1
    watch.sent(request: lastID, method: method, params: [:])
    return lastID
  }

  func notify(_ method: String, _ params: JSONValue) {
    if method == Method.jobCredit, let job = params["jobId"]?.string, let through = params["through"]?.int {
      watch.sent(credit: through, job: job)
    }
    write(Envelope.notification(method: method, params: params).frame)
  }

  func closeInput() {
    note("->", Array("(end of input)".utf8))
    process.close(.stdin)
  }

  // MARK: Waiting

  /// Whether all that was said has been read from the pipe's other end, or lies in the pipe.
  var isAllWritten: Bool { sent == pending.count || isInputBroken }

  /// Moves bytes both ways until `isDone`, at most for `time`.
  ///
  /// - Parameter looking: how often `isDone` is asked when nothing moves: for what no pipe tells.
  /// - Returns: whether it is done; false when the time has passed.
  /// - Throws: `ConformanceStop.outOfTime`, `CancellationError`.
  @discardableResult
  func wait(_ time: Duration, looking: Duration = .seconds(60), until isDone: () -> Bool) throws -> Bool {
    let wanted = clock.now().advanced(by: time)
    while true {
      if isDone() { return true }
      let now = clock.now()
      if now >= limit.at, limit.isWhole { throw ConformanceStop.outOfTime }
      let end = min(wanted, limit.at)
      if now >= end { return false }
      try pump(min(now.duration(to: end), looking).pollMilliseconds)
    }
  }

  /// One look at all pipes, which waits for at most so long.
  private func pump(_ milliseconds: Int32) throws {
    let input = process.isOpen(.stdin) && !isAllWritten
    var items = [
      pollfd(fd: isOutputOpen ? process.stdout : -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: isErrorOpen ? process.stderr : -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: isStatusOpen ? process.status : -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: input ? process.stdin : -1, events: Int16(POLLOUT), revents: 0),
      pollfd(fd: cancel.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&items, nfds_t(items.count), milliseconds) > 0 else { return }
    if items[4].revents != 0 { throw CancellationError() }
    if items[3].revents != 0 { flush() }
    if items[0].revents != 0 { readOutput() }
    if items[1].revents != 0 { readErrors() }
    if items[2].revents != 0 { try readStatus() }
  }

  private func flush() {
    let count = pending[sent...].withUnsafeBytes { Glibc.write(process.stdin, $0.baseAddress, $0.count) }
    if count > 0 {
      sent += count
    } else if errno != EAGAIN, errno != EINTR {
      isInputBroken = true
    }
  }

  private func readOutput() {
    let count = read(process.stdout, &buffer, buffer.count)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else {
      isOutputOpen = false
      if framer.hasPartialLine { watch.receivePartial() }
      return
    }
    var events: [LineFramer.Event] = []
    buffer.withUnsafeBytes { framer.feed(UnsafeRawBufferPointer(rebasing: $0[..<count])) { events.append($0) } }
    for event in events { take(event) }
  }

  private func take(_ event: LineFramer.Event) {
    switch event {
    case .overlong(let length, let prefix):
      note("<-", prefix)
      watch.receiveOverlong(length: length, prefix: prefix, cap: framer.limit)
    case .line(let line):
      note("<-", line)
      switch watch.receive(line) {
      case .answer(let id, let answer): answers[id] = answer
      case .notification(let method, let params):
        // What nobody takes is bounded: the rules have seen it.
        if notifications.count < 10_000 { notifications.append((method, params)) }
      case .ignored: break
      }
    }
  }

  private func readErrors() {
    let count = read(process.stderr, &buffer, buffer.count)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    let report = { (event: EngineEvent) in
      if case .stderr(let line) = event { self.note("!!", Array(line.utf8)) }
    }
    guard count > 0 else {
      isErrorOpen = false
      return errors.finish(now: clock.now(), report)
    }
    buffer.withUnsafeBytes { errors.feed(UnsafeRawBufferPointer(rebasing: $0[..<count]), now: clock.now(), report) }
  }

  private func readStatus() throws {
    let read = try process.readStatus(&status)
    if read.ended { isStatusOpen = false }
    for record in read.records {
      switch record {
      case .started(let pid, _): self.pid = pid
      case .failed(let step, let code): exit = .notStarted(step, code)
      case .exited(let code, _): exit = .status(code)
      case .signaled(let signal, _, _): exit = .signal(signal)
      case .swept: break
      }
    }
    if read.ended, exit == nil { exit = .signal(SIGKILL) }
  }

  /// Kept for the report; bounded.
  private func note(_ mark: String, _ bytes: [UInt8]) {
    let event: WireEvent =
      switch mark {
      case "->": .toEngine(bytes)
      case "<-": .fromEngine(bytes)
      default: .stderr(String(decoding: bytes, as: UTF8.self))
      }
    for observer in observers { observer.observe(event, at: clock.now()) }
    if wire.count >= 400 { wire.removeFirst(100) }
    wire.append("\(mark) \(Evidence.text(bytes))")
  }

  // MARK: Ending

  /// Ends the process and everything it has started. Returns once nothing of it is left, or after ten seconds.
  func end() {
    process.close(.stdin)
    process.close(.control)
    var item = pollfd(fd: process.monitorPIDFD, events: Int16(POLLIN), revents: 0)
    let deadline = clock.now().advanced(by: .seconds(10))
    while process.reapMonitor() == nil, clock.now() < deadline {
      _ = poll(&item, 1, clock.now().duration(to: deadline).pollMilliseconds)
    }
    for observer in observers { observer.endAndWait() }
  }
}
