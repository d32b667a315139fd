/// Lengths of time as people write them in files: `500ms`, `10s`, `2m`, `1.5h`, `30d`.
package enum DurationText {
  private static let units: [(suffix: String, seconds: Double)] = [
    ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400),
  ]

  /// The duration a text stands for, or nil when it is not a number followed by a unit, or is longer than ten years.
  package static func parse(_ text: String) -> Duration? {
    guard let (number, suffix) = splitNumber(text), let unit = units.first(where: { $0.suffix == suffix }) else {
      return nil
    }
    let seconds = number * unit.seconds
    guard seconds <= 3650 * 86_400 else { return nil }
    return .milliseconds(Int64((seconds * 1000).rounded()))
  }

  /// The shortest text that ``parse(_:)`` reads back as this duration, to the millisecond.
  package static func text(_ duration: Duration) -> String {
    let parts = duration.components
    let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    for unit in units.reversed() where milliseconds > 0 {
      let size = Int64(unit.seconds * 1000)
      if milliseconds.isMultiple(of: size) { return "\(milliseconds / size)\(unit.suffix)" }
    }
    return milliseconds == 0 ? "0s" : "\(milliseconds)ms"
  }
}

/// Numbers of bytes as people write them in files: `512MiB`, `1.5GB`, `4096`.
package enum ByteSize {
  private static let units: [(suffix: String, bytes: Int64)] = [
    ("", 1), ("B", 1), ("kB", 1000), ("KB", 1000), ("KiB", 1 << 10), ("MB", 1_000_000), ("MiB", 1 << 20),
    ("GB", 1_000_000_000), ("GiB", 1 << 30), ("TB", 1_000_000_000_000), ("TiB", 1 << 40),
  ]

  /// The number of bytes a text stands for, or nil when it is not a number with a known unit, or is above 2^60.
  package static func parse(_ text: String) -> Int64? {
    guard let (number, suffix) = splitNumber(text), let unit = units.first(where: { $0.suffix == suffix }) else {
      return nil
    }
    if suffix.isEmpty, number != number.rounded() { return nil }
    let bytes = (number * Double(unit.bytes)).rounded()
    guard bytes <= Double(1 << 60) else { return nil }
    return Int64(bytes)
  }

  /// The shortest exact text: binary units when they divide the number, plain bytes otherwise.
  package static func text(_ bytes: Int64) -> String {
    for unit in units.reversed() where unit.suffix.hasSuffix("iB") && bytes > 0 {
      if bytes.isMultiple(of: unit.bytes) { return "\(bytes / unit.bytes)\(unit.suffix)" }
    }
    return "\(bytes)"
  }
}

/// Splits `1.5GB` into 1.5 and `GB`; nil when the text does not begin with a decimal number of at most 18 digits.
private func splitNumber(_ text: String) -> (number: Double, suffix: String)? {
  let digits = text.utf8.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
  let number = String(decoding: digits, as: UTF8.self)
  let parts = number.split(separator: ".", omittingEmptySubsequences: false)
  guard number.utf8.count <= 18, (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { return nil }
  guard let value = Double(number) else { return nil }
  return (value, String(text.utf8.dropFirst(digits.count)) ?? "")
}
