/// What ffmpeg says with `-progress` at one moment.
package struct ToolProgress: Equatable, Sendable {
  /// Frames given to the encoder so far.
  package var frame = 0
  /// Frames a second of work, 0 when not known yet.
  package var rate = 0.0
  /// Seconds of the result so far.
  package var seconds = 0.0
  /// Bytes of the result so far.
  package var bytes: UInt64 = 0

  package init() {}
}

/// Reads the `key=value` lines of `-progress`. Fed any pieces; a block counts when its last line is there.
package struct ProgressParser: Sendable {
  /// A longer line is not ffmpeg's.
  private static let maximumLineBytes = 1024

  private var line: [UInt8] = []
  private var current = ToolProgress()

  package init() {}

  /// Returns the newest complete block within what was fed up to now, or nil when none was completed.
  package mutating func feed(_ bytes: [UInt8]) -> ToolProgress? {
    var latest: ToolProgress?
    for byte in bytes {
      guard byte == UInt8(ascii: "\n") else {
        if line.count < Self.maximumLineBytes { line.append(byte) }
        continue
      }
      if take(String(decoding: line, as: UTF8.self)) { latest = current }
      line.removeAll(keepingCapacity: true)
    }
    return latest
  }

  /// Returns true at the end of a block. Values that are no numbers (`N/A`) leave what was known.
  private mutating func take(_ text: String) -> Bool {
    guard let mark = text.firstIndex(of: "=") else { return false }
    let value = text[text.index(after: mark)...].filter { $0 != " " }
    switch text[..<mark] {
    case "frame": current.frame = Int(value) ?? current.frame
    case "fps": current.rate = Double(value) ?? current.rate
    case "out_time_us": current.seconds = Double(value).map { $0 / 1_000_000 } ?? current.seconds
    case "total_size": current.bytes = UInt64(value) ?? current.bytes
    case "progress": return true
    default: break
    }
    return false
  }
}
