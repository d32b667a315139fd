import CLinux
import Glibc
import PluginProtocol

/// Something that passed between the host and one engine process, or happened to it.
package enum WireEvent: Sendable, Equatable {
  /// A frame that has been written whole, without its LF.
  case toEngine([UInt8])
  /// A line of stdout, without its LF: a message or noise.
  case fromEngine([UInt8])
  /// A line over the cap: its length and its beginning.
  case overlong(length: Int, prefix: [UInt8])
  case stderr(String)
  /// What became of the process, in a word and a sentence: `started`, `killed`, `died`.
  case process(String, String)
}

/// Sees the wire of one engine process.
package protocol WireObserver: Sendable {
  /// Called where the bytes were moved, in their order, under the process's lock: returns at once.
  func observe(_ event: WireEvent, at instant: MonotonicInstant)

  /// The process is gone. Calls `done` once all that was seen has been dealt with; does not block.
  func end(_ done: @escaping @Sendable () -> Void)
}

extension WireObserver {
  /// Tells of what the host says of a process; what it says of messages has been seen on the wire.
  func observe(_ event: EngineEvent, at instant: MonotonicInstant) {
    switch event {
    case .started(let pid): observe(.process("started", "pid \(pid)"), at: instant)
    case .stderr(let line): observe(.stderr(line), at: instant)
    case .stderrFlood(let limit):
      observe(.process("flood", "more than \(limit) lines of stderr a minute"), at: instant)
    case .stderrDropped(let count, _): observe(.process("dropped", "\(count) lines of stderr"), at: instant)
    case .killed(let reason): observe(.process("killed", reason.description), at: instant)
    case .died(let diagnosis): observe(.process("died", diagnosis), at: instant)
    case .protocolError(let what, _): observe(.process("protocolError", what), at: instant)
    case .ready, .noise, .log, .confined: break
    }
  }

  /// The same on a thread that may block.
  func endAndWait() {
    let event = linux_eventfd(0)
    guard event >= 0 else { return end {} }
    end { _ = linux_eventfd_signal(event) }
    _ = linux_eventfd_wait(event)
    close(event)
  }

  /// Waits until all that was seen has been dealt with.
  func end() async {
    await withCheckedContinuation { continuation in end { continuation.resume() } }
  }
}

extension EngineProcess {
  /// Shows a frame that has been written.
  func observe(sent frame: OutboundFrame, at instant: MonotonicInstant) {
    for observer in observers { observer.observe(.toEngine(Array(frame.bytes.dropLast())), at: instant) }
  }

  /// Shows a line that has come.
  func observe(received event: LineFramer.Event, at instant: MonotonicInstant) {
    guard !observers.isEmpty else { return }
    let seen: WireEvent =
      switch event {
      case .line(let bytes): .fromEngine(bytes)
      case .overlong(let length, let prefix): .overlong(length: length, prefix: prefix)
      }
    for observer in observers { observer.observe(seen, at: instant) }
  }
}
