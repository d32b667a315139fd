import Glibc
import PluginProtocol

@testable import Host

/// What comes over HTTP or as a URL: heads of answers, `data:` and `file:` URLs, URLs and where they redirect to,
/// addresses, and the first bytes of a file.
func fuzzHTTP(_ input: [UInt8]) {
  var steering = Steering(input)
  let reader = steering.byte()
  let bytes = steering.payload
  switch reader % 7 {
  case 0: fuzzHead(bytes)
  case 1: fuzzDataURL(bytes)
  case 2: fuzzFileURL(bytes)
  case 3: fuzzRemoteURL(bytes)
  case 4: fuzzAddress(bytes)
  case 5: fuzzKind(bytes)
  default: fuzzSlots(bytes)
  }
}

/// A head as libcurl hands it over: line by line. Its headers decide about a download.
private func fuzzHead(_ bytes: [UInt8]) {
  var head = HTTPHead()
  var completed = 0
  for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
    let step = (Array(line) + [0x0A]).withUnsafeBytes { head.take($0) }
    if step == .complete { completed += 1 }
    if step == .tooLong { break }
  }
  require(completed <= 1, "a head that is complete twice")
  require(completed == 0 || head.status >= 200, "a head that is complete without an answer")
  let held = head.headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
  // Broken UTF-8 becomes three bytes for one.
  require(held <= 3 * HTTPHead.longest, "headers of \(held) bytes")
  _ = ResumeRecord.validator(of: head)
  for offset in [0, 1, 1000, Int64.max] {
    let length = head.headers["content-length"].flatMap { Int64($0) }
    let reply = DownloadReply.read(
      offset: offset, status: head.status, contentRange: head.headers["content-range"], contentLength: length,
      contentEncoding: head.headers["content-encoding"])
    if case .append(let total) = reply {
      require(offset > 0 && (total ?? .max) > offset, "a range that does not continue: \(offset) of \(total ?? -1)")
    }
    if case .refused(let reason) = reply { require(isPlain(reason), "a control character: \(reason)") }
  }
}

private func fuzzDataURL(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  if let url = try? DataURL(text) { require(url.bytes.count <= text.utf8.count, "more bytes than the URL has") }
  // Strict base64 has one text for each value: decoding and encoding gives it back, but for padding left out.
  require(Base64.decode(Array(Base64.encode(bytes).utf8)) == bytes, "base64 does not survive")
  if let decoded = Base64.decode(bytes) {
    let again = Array(Base64.encode(decoded).utf8)
    require(again.starts(with: bytes) && again.dropFirst(bytes.count).allSatisfy { $0 == 0x3D }, "two texts, one value")
  }
}

private func fuzzFileURL(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  guard let path = try? FileURL.path(text, field: "task.inputUrl") else { return }
  require(path.hasPrefix("/") && !path.utf8.contains(0), "a path that is none: \(path)")
  require((try? FileURL.path(FileURL.text(path: path), field: "again")) == path, "a path does not survive: \(path)")
}

/// `URL LF TARGET`. Whatever comes out is encrypted or this machine, and shows no credentials.
private func fuzzRemoteURL(_ bytes: [UInt8]) {
  let parts = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false).map {
    String(decoding: $0, as: UTF8.self)
  }
  guard let url = try? RemoteURL(parts[0]) else { return }
  check(url)
  guard parts.count > 1, let next = try? url.redirected(to: parts[1]) else { return }
  check(next)
  require(url.scheme == .http || next.scheme == .https, "the encryption is gone: \(next.redacted)")
}

private func check(_ url: RemoteURL) {
  require(url.scheme == .https || url.isLoopback, "plain text to another machine: \(url.redacted)")
  require(isPlain(url.redacted) && url.redacted.count <= 300, "not fit to be shown: \(url.redacted)")
  // The part before an @ is shown in no host.
  let authority = url.redacted.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).dropFirst(2).first
  require(authority?.contains("@") != true, "credentials are shown: \(url.redacted)")
}

/// An IPv4 address is as public in IPv6's clothes as by itself, and no address of this machine or its nets is public.
private func fuzzAddress(_ bytes: [UInt8]) {
  let six = Array((bytes + [UInt8](repeating: 0, count: 16)).prefix(16))
  let four = six[..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
  let isPublic = PublicAddress.isPublic(v4: four)
  let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + six[..<4]
  require(PublicAddress.isPublic(v6: mapped) == isPublic, "::ffff:0:0/96 of \(six[..<4])")
  require(
    PublicAddress.isPublic(v6: [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0] + six[..<4]) == isPublic, "64:ff9b::")
  require(PublicAddress.isPublic(v6: [0x20, 0x02] + six[..<4] + six[4..<14]) == isPublic, "2002::/16 of \(six[..<4])")
  if isPublic { require(![0, 10, 127].contains(six[0]) && six[0] < 224, "public: \(six[..<4])") }
  if PublicAddress.isPublic(v6: six) { require(six[0] & 0xE0 == 0x20, "public: \(six)") }
  require(!PublicAddress.isPublic(v6: Array(six.prefix(Int(six[15]) % 16))), "an address of too few bytes is public")
  var address = sockaddr_in6()
  address.sin6_family = sa_family_t(bytes.count % 2 == 0 ? AF_INET6 : AF_INET)
  withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: six) }
  withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
      for length in 0...MemoryLayout<sockaddr_in6>.size {
        let isLoopback = RemoteURL.isLoopback(address: generic, length: length)
        require(!isLoopback || !PublicAddress.isPublic(generic, length: length), "loopback and public: \(six)")
      }
    }
  }
}

private func fuzzKind(_ bytes: [UInt8]) {
  let kind = MediaKind(head: bytes)
  let names = kind.ending.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) }
  require((1...4).contains(kind.ending.utf8.count) && names, "an ending that is none: \(kind.ending)")
  let head = Array(bytes.prefix(MediaKind.headBytes))
  require(MediaKind(head: head) == kind || bytes.count > MediaKind.headBytes, "the kind changes")
}

private func fuzzSlots(_ bytes: [UInt8]) {
  guard let task = try? JSONValue(parsing: bytes), let slots = try? InputSlot.all(in: task, limit: 16) else { return }
  require(slots.count <= 16, "\(slots.count) slots")
  for slot in slots {
    require(slot.name.utf8.allSatisfy { $0 != 0x2F && $0 > 0x20 }, "a name that no file may have: \(slot.name)")
    for origin in [InputOrigin.local, .coordinator("another")] {
      guard let source = try? InputSource(slot, from: origin) else { continue }
      if case .path(let path) = source { require(origin == .local && path.hasPrefix("/"), "a path for a stranger") }
      if case .upload = source { require(origin == .local, "an upload for a stranger") }
      if case .staged = source { require(false, "a submission names what is staged") }
    }
  }
  let replaced = InputSlot.replace(slots.map { ($0, "staged:0") }, in: task)
  require((try? InputSlot.all(in: replaced, limit: 16))?.count == slots.count, "a slot is lost")
}

/// Whether a text may be written to a terminal.
func isPlain(_ text: String) -> Bool {
  text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) }
}
