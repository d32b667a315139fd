/// Wall-clock times as people and other programs read them.
package enum Timestamp {
  /// RFC 3339 in UTC with milliseconds, as in `2026-02-28T23:59:59.042Z`. Years outside 0000…9999 are clamped.
  package static func text(milliseconds: Int64) -> String {
    let clamped = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
    let day = Int(clamped.floorDivided(by: 86_400_000))
    let inDay = Int(clamped - Int64(day) * 86_400_000)
    // Days to a date of the proleptic Gregorian calendar, counting years from March so that a leap day ends the year.
    let shifted = day + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let march = (5 * dayOfYear + 2) / 153
    let month = march < 10 ? march + 3 : march - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    var out: [UInt8] = []
    out.reserveCapacity(24)
    func append(_ value: Int, width: Int, then mark: Character) {
      var scale = 1
      for _ in 1..<width { scale *= 10 }
      while scale > 0 {
        out.append(UInt8(ascii: "0") + UInt8(value / scale % 10))
        scale /= 10
      }
      out.append(contentsOf: mark.utf8)
    }
    append(year, width: 4, then: "-")
    append(month, width: 2, then: "-")
    append(dayOfYear - (153 * march + 2) / 5 + 1, width: 2, then: "T")
    append(inDay / 3_600_000, width: 2, then: ":")
    append(inDay / 60_000 % 60, width: 2, then: ":")
    append(inDay / 1000 % 60, width: 2, then: ".")
    append(inDay % 1000, width: 3, then: "Z")
    return String(decoding: out, as: UTF8.self)
  }
}

extension Int64 {
  fileprivate func floorDivided(by divisor: Int64) -> Int64 {
    self >= 0 ? self / divisor : (self + 1) / divisor - 1
  }
}
