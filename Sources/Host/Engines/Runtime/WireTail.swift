import PluginProtocol

/// The last frames of one conversation in both directions: what is left to look at when the engine has died.
///
/// Keeps the beginning of each frame, in a buffer that is made once: a frame costs one short copy.
struct WireTail: Sendable {
  /// Frames kept of each direction.
  static let kept = 8
  /// Bytes kept of each frame.
  static let bytes = 512

  struct Frame: Sendable, Equatable {
    var isFromEngine: Bool
    var at: MonotonicInstant
    /// The whole frame's, without its LF.
    var length: Int
    var beginning: [UInt8]
  }

  private struct Mark {
    var number = 0
    var at = MonotonicInstant(nanoseconds: 0)
    var length = 0
    var kept = 0
  }

  private var storage = [UInt8](repeating: 0, count: 2 * WireTail.kept * WireTail.bytes)
  private var marks = [Mark](repeating: Mark(), count: 2 * WireTail.kept)
  private var sent = 0
  private var received = 0

  /// A frame has been written to the engine, LF included.
  mutating func sent(_ frame: [UInt8], now: MonotonicInstant) {
    note(frame, length: frame.last == 0x0A ? frame.count - 1 : frame.count, slot: sent % WireTail.kept, now)
    sent += 1
  }

  /// A line has come from the engine.
  mutating func received(_ event: LineFramer.Event, now: MonotonicInstant) {
    let slot = WireTail.kept + received % WireTail.kept
    switch event {
    case .line(let bytes): note(bytes, length: bytes.count, slot: slot, now)
    case .overlong(let length, let prefix): note(prefix, length: length, slot: slot, now)
    }
    received += 1
  }

  private mutating func note(_ bytes: [UInt8], length: Int, slot: Int, _ now: MonotonicInstant) {
    let count = min(bytes.count, length, WireTail.bytes)
    marks[slot] = Mark(number: sent + received + 1, at: now, length: length, kept: count)
    storage.withUnsafeMutableBytes { storage in
      bytes.withUnsafeBytes { bytes in
        UnsafeMutableRawBufferPointer(rebasing: storage[(slot * WireTail.bytes)...])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
      }
    }
  }

  /// In the order in which they passed.
  var frames: [Frame] {
    marks.enumerated().filter { $0.element.number > 0 }.sorted { $0.element.number < $1.element.number }
      .map { slot, mark in
        Frame(
          isFromEngine: slot >= WireTail.kept, at: mark.at, length: mark.length,
          beginning: Array(storage[slot * WireTail.bytes..<slot * WireTail.bytes + mark.kept]))
      }
  }
}

extension WireTail.Frame {
  /// As evidence: without what a user or the operator wants kept to himself, and with nothing that a terminal would obey.
  ///
  /// - Parameter end: when the process was of no more use.
  func json(end: MonotonicInstant?) -> JSONValue {
    let cut = beginning.count < length ? " … [cut: \(length) bytes]" : ""
    return .compact([
      "direction": .string(isFromEngine ? "fromEngine" : "toEngine"), "bytes": JSONValue(length),
      "msBeforeEnd": end.map { .int(max(0, at.duration(to: $0).inMilliseconds)) } ?? .null,
      "frame": .string(HostLog.neutralise(WireRedaction.redact(beginning)) + cut),
    ])
  }
}
