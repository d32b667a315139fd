import Synchronization

/// The identity of a job: a UUID version 7 (RFC 9562, section 5.7).
///
/// Ids sort by creation. The text form is lower-case and hyphenated, 36 ASCII characters, and therefore always a safe
/// file name. An id is never used for a second job.
package struct JobID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Milliseconds since 1970 (48 bits), the version (4 bits), a counter within the millisecond (12 bits).
  let high: UInt64
  /// The variant (2 bits), random (62 bits).
  let low: UInt64

  init(high: UInt64, low: UInt64) {
    self.high = high & ~0xF000 | 0x7000
    self.low = low & ~(3 << 62) | 2 << 62
  }

  /// Reads the hyphenated form, in either case; nil unless it is a UUID of version 7 and of the RFC's variant.
  package init?(_ text: some StringProtocol) {
    var words: (UInt64, UInt64) = (0, 0)
    var position = 0
    var digits = 0
    for byte in text.utf8 {
      guard position < 36 else { return nil }
      if position == 8 || position == 13 || position == 18 || position == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
      } else {
        guard let digit = Self.digit(byte) else { return nil }
        if digits < 16 { words.0 = words.0 << 4 | digit } else { words.1 = words.1 << 4 | digit }
        digits += 1
      }
      position += 1
    }
    guard position == 36, words.0 >> 12 & 0xF == 7, words.1 >> 62 == 2 else { return nil }
    high = words.0
    low = words.1
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  /// The creation time the id carries, in milliseconds since 1970. It can run ahead of the clock, never behind an
  /// earlier id.
  package var milliseconds: Int64 { Int64(high >> 16) }

  package var description: String {
    String(unsafeUninitializedCapacity: 36) { buffer in
      var at = 0
      for index in 0..<32 {
        if index == 8 || index == 12 || index == 16 || index == 20 {
          buffer[at] = UInt8(ascii: "-")
          at += 1
        }
        let word = index < 16 ? high : low
        let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (index % 16)) & 0xF)
        buffer[at] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
        at += 1
      }
      return at
    }
  }

  package static func < (left: JobID, right: JobID) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }
}

/// Makes job ids that grow strictly, whatever the wall clock does.
///
/// RFC 9562, section 6.2, method 1: the 12 bits after the version are a counter that starts at a random value below
/// 2048 in each new millisecond. When the counter is used up, or the clock goes back, the generator keeps to its own
/// millisecond, which then runs ahead of the clock.
package final class JobIDGenerator: Sendable {
  private struct State {
    var milliseconds: UInt64 = 0
    var counter: UInt64 = 0
  }
  private let state: Mutex<State>
  private let wallMilliseconds: @Sendable () -> Int64

  /// Every id made is greater than `last`.
  package init(after last: JobID? = nil, wallMilliseconds: @escaping @Sendable () -> Int64) {
    state = Mutex(last.map { State(milliseconds: $0.high >> 16, counter: $0.high & 0xFFF) } ?? State())
    self.wallMilliseconds = wallMilliseconds
  }

  package func next() -> JobID {
    let now = UInt64(max(0, wallMilliseconds())) & 0xFFFF_FFFF_FFFF
    let random = UInt64.random(in: 0...UInt64.max)
    let high = state.withLock { state in
      if now > state.milliseconds {
        state.milliseconds = now
        state.counter = UInt64.random(in: 0..<2048)
      } else if state.counter < 0xFFF {
        state.counter += 1
      } else {
        state.milliseconds += 1
        state.counter = UInt64.random(in: 0..<2048)
      }
      return state.milliseconds << 16 | state.counter
    }
    return JobID(high: high, low: random)
  }
}
