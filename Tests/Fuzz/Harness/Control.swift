import Glibc
import PluginProtocol

@testable import Host

/// A client of the control socket that sends anything in any pieces, on a real socket. It gets whole JSON lines, no
/// more than a client may have wrong, and is closed once it has gone.
func fuzzControl(_ input: [UInt8]) {
  var steering = Steering(input)
  let seed = steering.byte()
  let bytes = steering.payload
  var ends: [CInt] = [-1, -1]
  guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0, &ends) == 0,
    let wake = try? WakePipe()
  else { return require(false, "no descriptors are left: \(errno)") }
  let link = ControlLink(wake: wake)
  var client = ControlClient(descriptor: ends[0], link: link)
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
  defer { buffer.deallocate() }
  let asked = Asked(bytes)
  var answers: [UInt8] = []
  for piece in pieces(bytes, seed: seed) where !client.isClosed {
    var rest = piece[...]
    while !rest.isEmpty, !client.isClosed {
      let sent = rest.withUnsafeBytes { send(ends[1], $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
      if sent > 0 { rest = rest.dropFirst(sent) }
      turn(&client, buffer)
      asked.finish(link)
      answers += received(ends[1])
    }
  }
  shutdown(ends[1], CInt(SHUT_WR))
  for _ in 0..<10_000 where !client.isClosed {
    turn(&client, buffer)
    asked.finish(link)
    answers += received(ends[1])
  }
  require(client.isClosed, "the client has gone and is not closed")
  answers += received(ends[1])
  close(ends[1])
  let lines = answers.split(separator: 0x0A)
  require(answers.isEmpty || answers.last == 0x0A, "the last answer is not whole")
  require(lines.count <= ControlProtocol.maximumGarbage, "\(lines.count) refusals")
  for line in lines {
    guard let value = try? JSONValue(parsing: line), case .failure? = try? Envelope(value) else {
      return require(false, "an answer that is none: \(String(decoding: line, as: UTF8.self))")
    }
  }
}

/// One turn of the server's thread.
private func turn(_ client: inout ControlClient, _ buffer: UnsafeMutableRawBufferPointer) {
  var look = pollfd(fd: client.descriptor, events: client.interest, revents: 0)
  _ = poll(&look, 1, 0)
  client.advance(ready: look.revents, buffer: buffer)
}

private func received(_ descriptor: CInt) -> [UInt8] {
  var all: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 64 << 10)
  while case let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT)), count > 0 {
    all += buffer[..<count]
  }
  return all
}

/// The ids that the client's requests have, to end them: here nobody answers.
private struct Asked {
  private let ids: [RequestID]

  init(_ bytes: [UInt8]) {
    ids = bytes.split(separator: 0x0A).compactMap { line in
      guard let value = try? JSONValue(parsing: line), case .request(let id, _, _)? = try? Envelope(value) else {
        return nil
      }
      return id
    }
  }

  func finish(_ link: ControlLink) { for id in ids { link.finish(id) } }
}
