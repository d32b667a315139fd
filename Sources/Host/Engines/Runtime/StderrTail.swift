import PluginProtocol

/// The last lines of an engine's stderr, as bytes: most are never looked at, and an engine can write millions a second.
struct LastLines: Sendable {
  /// Lines kept.
  static let kept = 200

  private var slots: [LineFramer.Event] = []
  /// Where the next line goes once all slots are taken: the oldest line lies there.
  private var next = 0

  var count: Int { slots.count }

  mutating func append(_ line: LineFramer.Event) {
    if slots.count < LastLines.kept {
      slots.append(line)
    } else {
      slots[next] = line
      next = (next + 1) % LastLines.kept
    }
  }

  /// As text, oldest first.
  var lines: [String] { (slots[next...] + slots[..<next]).map(LastLines.text) }

  /// Of a line that was overwritten with carriage returns (a progress bar) the last state counts.
  static func text(_ line: LineFramer.Event) -> String {
    func last(_ bytes: [UInt8]) -> String {
      String(decoding: bytes.split(separator: 0x0D).last ?? [], as: UTF8.self)
    }
    switch line {
    case .line(let bytes): return last(bytes)
    case .overlong(let length, let prefix): return "\(last(prefix)) … [cut: \(length) bytes]"
    }
  }
}

/// Turns an engine's stderr into lines for people: cut, progress bars collapsed, capped in rate; the last ones are kept.
struct StderrTail: Sendable {
  /// Longest line kept, in bytes.
  static let lineBytes = 4096
  /// Lines a minute that are passed on.
  static let perMinute = 6000

  private var framer = LineFramer(limit: StderrTail.lineBytes)
  private var budget = RateBudget(limit: StderrTail.perMinute)
  /// Passed on or not.
  private(set) var last = LastLines()
  /// Lines that were not passed on since the last report.
  private var dropped = 0

  var lines: [String] { last.lines }

  /// Takes bytes and calls `emit` for each line that may pass.
  mutating func feed(_ bytes: UnsafeRawBufferPointer, now: MonotonicInstant, _ emit: (EngineEvent) -> Void) {
    var framed: [LineFramer.Event] = []
    framer.feed(bytes) { framed.append($0) }
    for event in framed { take(event, now: now, emit) }
  }

  /// The stream has ended: a last line without its end counts here, other than on the wire.
  mutating func finish(now: MonotonicInstant, _ emit: (EngineEvent) -> Void) {
    if framer.hasPartialLine {
      for event in framer.feed([0x0A]) { take(event, now: now, emit) }
    }
    reportDropped(emit)
  }

  private mutating func take(_ event: LineFramer.Event, now: MonotonicInstant, _ emit: (EngineEvent) -> Void) {
    if case .line(let bytes) = event, !bytes.contains(where: { $0 != 0x0D }) { return }
    guard budget.take(now: now) else {
      last.append(event)
      // Said at once: an engine that floods may do so for hours.
      if dropped == 0 { emit(.stderrFlood(perMinute: StderrTail.perMinute)) }
      dropped += 1
      return
    }
    reportDropped(emit)
    last.append(event)
    emit(.stderr(LastLines.text(event)))
  }

  private mutating func reportDropped(_ emit: (EngineEvent) -> Void) {
    guard dropped > 0 else { return }
    emit(.stderrDropped(dropped, last: lines.suffix(dropped)))
    dropped = 0
  }
}
