import PluginProtocol

/// Turns an engine's stderr into lines for people: cut, progress bars collapsed, capped in rate; the last ones are kept.
struct StderrTail: Sendable {
  /// Longest line kept, in bytes.
  static let lineBytes = 4096
  /// Lines kept for diagnosis.
  static let kept = 200
  /// Lines a minute that are passed on.
  static let perMinute = 6000

  private var framer = LineFramer(limit: StderrTail.lineBytes)
  private var budget = RateBudget(limit: StderrTail.perMinute)
  private(set) var lines: [String] = []
  /// Lines that were not passed on since the last report.
  private var dropped = 0

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
    let text: String
    switch event {
    case .line(let bytes): text = StderrTail.text(bytes)
    case .overlong(let length, let prefix): text = "\(StderrTail.text(prefix)) … [cut: \(length) bytes]"
    }
    guard !text.isEmpty else { return }
    if lines.count == StderrTail.kept { lines.removeFirst() }
    lines.append(text)
    guard budget.take(now: now) else {
      // Said at once: an engine that floods may do so for hours.
      if dropped == 0 { emit(.stderrFlood(perMinute: StderrTail.perMinute)) }
      dropped += 1
      return
    }
    reportDropped(emit)
    emit(.stderr(text))
  }

  private mutating func reportDropped(_ emit: (EngineEvent) -> Void) {
    guard dropped > 0 else { return }
    emit(.stderrDropped(dropped))
    dropped = 0
  }

  /// Of a line that was overwritten with carriage returns (a progress bar) the last state counts.
  private static func text(_ bytes: [UInt8]) -> String {
    let parts = bytes.split(separator: 0x0D)
    return String(decoding: parts.last ?? [], as: UTF8.self)
  }
}
