import Glibc
import PluginProtocol

/// One client's descriptor, as the server's thread works on it.
struct ControlClient {
  let descriptor: CInt
  let link: ControlLink
  /// True once the descriptor is closed; the client stays listed until its tasks have ended.
  private(set) var isClosed = false

  private var framer = LineFramer(limit: ControlProtocol.maximumLineBytes)
  /// Lines read and not begun. While there are any, nothing more is read.
  private var pending: ArraySlice<[UInt8]> = []
  private var outgoing: ArraySlice<UInt8> = []
  private var garbage = 0
  /// The client will send nothing more: it is gone, or waits for its last answers.
  private var ended = false

  init(descriptor: CInt, link: ControlLink) {
    self.descriptor = descriptor
    self.link = link
  }

  /// What to wait for.
  var interest: Int16 {
    var events: Int16 = 0
    if !ended, pending.isEmpty, !link.isFull { events |= Int16(POLLIN) }
    if !outgoing.isEmpty || link.hasQueued { events |= Int16(POLLOUT) }
    return events
  }

  /// Does what can be done without waiting.
  ///
  /// - Parameter ready: What `poll` said about the descriptor.
  mutating func advance(ready: Int16, buffer: UnsafeMutableRawBufferPointer) {
    guard !isClosed else { return }
    if ready & Int16(POLLHUP | POLLERR | POLLNVAL) != 0, ready & Int16(POLLIN) == 0 || ended { return close() }
    if ready & Int16(POLLIN) != 0, !ended { read(into: buffer) }
    beginRequests()
    flush()
    if ended, pending.isEmpty, outgoing.isEmpty, link.isIdle { close() }
  }

  /// Closes the descriptor and lets the client's tasks know.
  mutating func close() {
    guard !isClosed else { return }
    isClosed = true
    Glibc.close(descriptor)
    pending = []
    outgoing = []
    link.closed()
  }

  /// True when all answers have left.
  var isFlushed: Bool { isClosed || (outgoing.isEmpty && !link.hasQueued) }

  private mutating func read(into buffer: UnsafeMutableRawBufferPointer) {
    let count = Glibc.recv(descriptor, buffer.baseAddress, buffer.count, 0)
    if count < 0 {
      if errno != EINTR, errno != EAGAIN { close() }
      return
    }
    if count == 0 {
      ended = true
      return
    }
    var lines: [[UInt8]] = []
    var overlong = 0
    framer.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { event in
      switch event {
      case .line(let line): lines.append(line)
      case .overlong(let length, _): overlong = length
      }
    }
    pending.append(contentsOf: lines)
    if overlong > 0 {
      refuse(nil, RPCError.invalidRequestCode, "a line has \(overlong) bytes and \(framer.limit) are allowed")
    }
  }

  private mutating func beginRequests() {
    while !isClosed, link.hasRoomForRequest, !link.isFull, let line = pending.popFirst() {
      begin(line)
    }
    if pending.isEmpty { pending = [] }
  }

  private mutating func begin(_ line: [UInt8]) {
    let value: JSONValue
    do throws(JSONParseError) {
      value = try JSONValue(parsing: line)
    } catch {
      return refuse(nil, RPCError.parseErrorCode, "a line is not JSON: \(error)")
    }
    do throws(EnvelopeError) {
      switch try Envelope(value) {
      case .request(let id, let method, let params):
        if !link.begin(ControlRequest(id: id, method: method, params: params)) {
          refuse(id, RPCError.invalidRequestCode, "a request with this id is under way")
        }
      case .notification, .response, .failure: break
      }
    } catch {
      refuse(nil, RPCError.invalidRequestCode, "a line is not a request: \(error)")
    }
  }

  /// Answers what is no request, and gives up on a client that sends nothing else.
  private mutating func refuse(_ id: RequestID?, _ code: Int, _ message: String) {
    garbage += 1
    link.queue(Envelope.failure(id: id, error: RPCError(code: code, message: message)).frame)
    guard garbage >= ControlProtocol.maximumGarbage else { return }
    flush()
    close()
  }

  private mutating func flush() {
    while !isClosed {
      if outgoing.isEmpty { outgoing = link.take()[...] }
      guard !outgoing.isEmpty else { return }
      let count = outgoing.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
      guard count >= 0 else {
        if errno == EINTR { continue }
        if errno != EAGAIN { close() }
        return
      }
      outgoing = outgoing.dropFirst(count)
      link.sent(count)
    }
  }
}
