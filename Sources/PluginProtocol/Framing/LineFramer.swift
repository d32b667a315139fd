import Glibc

/// Cuts a byte stream into lines at LF, in time linear in its length whatever the chunking, and in bounded memory.
///
/// The framer is a value without I/O: feed it bytes, take the events. A line longer than the cap is not kept: its
/// first 4 KiB are, for the log, and the rest is counted and dropped up to the next LF.
public struct LineFramer: Sendable {
  /// What a stretch of input turned out to be.
  public enum Event: Equatable, Sendable {
    /// One line, without its LF. May be empty.
    case line([UInt8])
    /// A line over the cap has ended: its length in bytes and its first bytes (at most 4 KiB).
    case overlong(length: Int, prefix: [UInt8])
  }

  /// Line cap of protocol version 1, in bytes without the LF, unless both sides agree on more.
  public static let defaultLineBytes = 1 << 20
  /// The greatest line cap that may be negotiated.
  public static let maximumLineBytes = 16 << 20
  /// How much of an overlong line is kept as evidence.
  public static let evidenceBytes = 4096

  /// The current cap in bytes. Raising it takes effect for the line being read.
  public var limit: Int

  private var buffer: [UInt8] = []
  /// True once the current line has gone over the cap: what is in `buffer` is then its evidence.
  private var isOverlong = false
  /// Bytes of the current line that were not kept.
  private var dropped = 0

  public init(limit: Int = LineFramer.defaultLineBytes) {
    self.limit = limit
  }

  /// True when a line has begun and not ended: its LF is still to come.
  public var hasPartialLine: Bool { !buffer.isEmpty || isOverlong }

  /// Takes the next bytes of the stream, and calls `emit` for each line that they complete, in order.
  public mutating func feed(_ bytes: UnsafeRawBufferPointer, _ emit: (Event) -> Void) {
    guard let base = bytes.baseAddress else { return }
    var start = 0
    while start < bytes.count, let found = memchr(base + start, 0x0A, bytes.count - start) {
      let newline = UnsafeRawPointer(found) - base
      end(line: bytes[start..<newline], emit)
      start = newline + 1
    }
    append(bytes[start...])
  }

  /// Takes the next bytes of the stream and returns the lines that they complete, in order.
  public mutating func feed(_ bytes: [UInt8]) -> [Event] {
    var events: [Event] = []
    bytes.withUnsafeBytes { buffer in feed(buffer) { events.append($0) } }
    return events
  }

  private mutating func end(line tail: Slice<UnsafeRawBufferPointer>, _ emit: (Event) -> Void) {
    if buffer.isEmpty, !isOverlong, tail.count <= limit {
      emit(.line([UInt8](tail)))
      return
    }
    append(tail)
    if isOverlong {
      emit(.overlong(length: buffer.count + dropped, prefix: buffer))
    } else {
      emit(.line(buffer))
    }
    buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 16)
    isOverlong = false
    dropped = 0
  }

  private mutating func append(_ bytes: Slice<UnsafeRawBufferPointer>) {
    if !isOverlong, buffer.count + bytes.count <= limit {
      buffer.append(contentsOf: bytes)
      return
    }
    if !isOverlong {
      isOverlong = true
      dropped = max(0, buffer.count - LineFramer.evidenceBytes)
      // A new array, so that the memory of the long one is given back.
      buffer = Array(buffer.prefix(LineFramer.evidenceBytes))
    }
    let kept = bytes.prefix(LineFramer.evidenceBytes - buffer.count)
    buffer.append(contentsOf: kept)
    dropped += bytes.count - kept.count
  }
}
