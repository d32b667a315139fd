/// Numbers as people read them.
enum Human {
  /// `97.6 MiB`.
  static func bytes(_ count: Int64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(count)
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(count) B" : "\(oneDecimal(value)) \(units[unit])"
  }

  /// `850 ms`, `1.4 s`, `2 min 05 s`, `3 h 12 min`, `4 d 6 h`.
  static func duration(milliseconds: Int64) -> String {
    let seconds = milliseconds / 1000
    switch milliseconds {
    case ..<1000: return "\(max(0, milliseconds)) ms"
    case ..<60_000: return "\(oneDecimal(Double(milliseconds) / 1000)) s"
    case ..<3_600_000: return "\(seconds / 60) min \(twoDigits(seconds % 60)) s"
    case ..<86_400_000: return "\(seconds / 3600) h \(twoDigits(seconds / 60 % 60)) min"
    default: return "\(seconds / 86_400) d \(seconds / 3600 % 24) h"
    }
  }

  /// `just now`, `5 s ago`, `3 min ago`, `in 2 h`; the text itself when it is no time.
  static func relative(_ timestamp: String?, now: Int64) -> String {
    guard let timestamp else { return "" }
    guard let then = milliseconds(timestamp) else { return timestamp }
    return relative(milliseconds: then, now: now)
  }

  /// The same for milliseconds since 1970.
  static func relative(milliseconds then: Int64, now: Int64) -> String {
    let distance = Int64(clamping: now.subtractingReportingOverflow(then).partialValue.magnitude) / 1000
    let text: String
    switch distance {
    case ..<2: return "just now"
    case ..<60: text = "\(distance) s"
    case ..<3600: text = "\(distance / 60) min"
    case ..<86_400: text = "\(distance / 3600) h"
    default: text = "\(distance / 86_400) d"
    }
    return then > now ? "in \(text)" : "\(text) ago"
  }

  /// Milliseconds since 1970 of an RFC 3339 time in UTC, as the worker writes it.
  static func milliseconds(_ timestamp: String) -> Int64? {
    let bytes = Array(timestamp.utf8)
    let number = { (range: Range<Int>) -> Int64? in
      guard range.upperBound <= bytes.count else { return nil }
      return Int64(String(decoding: bytes[range], as: UTF8.self))
    }
    guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z"), let year = number(0..<4), let month = number(5..<7),
      (1...12).contains(month), let day = number(8..<10), let hour = number(11..<13), let minute = number(14..<16),
      let second = number(17..<19)
    else { return nil }
    let fraction = bytes.count >= 24 ? number(20..<23) ?? 0 : 0
    // Days from a date of the proleptic Gregorian calendar, with years that begin in March.
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + fraction
  }

  /// One digit after the point.
  static func oneDecimal(_ value: Double) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "?" }
    let tenths = Int64((abs(value) * 10).rounded())
    return (value < 0 && tenths > 0 ? "-" : "") + "\(tenths / 10).\(tenths % 10)"
  }

  private static func twoDigits(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
