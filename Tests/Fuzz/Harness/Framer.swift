import PluginProtocol

@testable import Host

/// The framer: the same lines as the definition of a line gives, whatever the chunking, and for any cap.
func fuzzFramer(_ input: [UInt8]) {
  var steering = Steering(input)
  let limits = [0, 1, 7, 100, 4095, 4096, 4097, 10_000]
  let limit = limits[Int(steering.byte()) % limits.count]
  let seed = steering.byte()
  // A byte that stands for many: lines beyond the cap in a small input.
  var bytes: [UInt8] = []
  for byte in steering.payload.prefix(64 << 10) {
    if byte == 0xFF, bytes.count < 64 << 10 { bytes += many } else { bytes.append(byte) }
  }
  let expected = lines(of: bytes, limit: limit)

  var whole = LineFramer(limit: limit)
  require(whole.feed(bytes) == expected.events, "the framer's lines differ when it is fed at once")
  var chunked = LineFramer(limit: limit)
  let events = pieces(bytes, seed: seed).flatMap { chunked.feed($0) }
  require(events == expected.events, "the framer's lines differ when it is fed in pieces")
  require(chunked.hasPartialLine == expected.isPartial, "the framer is wrong about a begun line")
  for case .overlong(_, let prefix) in events { fuzzOverlongLine(prefix) }
}

private let many = [UInt8](repeating: 0x78, count: 1500)

/// What a too long line says about itself: nothing that its beginning does not hold.
func fuzzOverlongLine(_ prefix: [UInt8]) {
  switch OverlongLine(prefix) {
  case .response(let id): require(id >= 0, "an id that no digits make")
  case .notification(let jobID): require((jobID?.utf8.count ?? 0) <= prefix.count * 3, "a job id from nowhere")
  case .unknown: break
  }
}

/// The definition, in the plainest words: split at LF; what is over the cap is its length and its first 4 KiB.
private func lines(of bytes: [UInt8], limit: Int) -> (events: [LineFramer.Event], isPartial: Bool) {
  var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
  let last = lines.removeLast()
  let events = lines.map { line -> LineFramer.Event in
    line.count <= limit
      ? .line(Array(line))
      : .overlong(length: line.count, prefix: Array(line.prefix(LineFramer.evidenceBytes)))
  }
  return (events, !last.isEmpty)
}
