/// Frames a second as an exact fraction, so that times fall on frames.
package struct FrameRate: Equatable, Sendable, CustomStringConvertible {
  package let numerator: Int
  package let denominator: Int

  /// A rate to the thousandth; `value` is from 1 to 1000.
  package init(_ value: Double) {
    self.init(reducing: Int((value * 1000).rounded()), 1000)
  }

  /// A rate as tools print it, `30000/1001` for instance; nil when it is none or not from 1 to `maximum`.
  package init?(printed: String, maximum: Int) {
    let parts = printed.split(separator: "/", maxSplits: 1).compactMap { Int($0) }
    guard parts.count == 2, 1...1_000_000_000 ~= parts[0], 1...1_000_000_000 ~= parts[1] else { return nil }
    self.init(reducing: parts[0], parts[1])
    guard value >= 1, value <= Double(maximum) else { return nil }
  }

  private init(reducing numerator: Int, _ denominator: Int) {
    var (larger, smaller) = (numerator, denominator)
    while smaller != 0 { (larger, smaller) = (smaller, larger % smaller) }
    self.numerator = numerator / larger
    self.denominator = denominator / larger
  }

  package var value: Double { Double(numerator) / Double(denominator) }
  /// The seconds of that many frames.
  package func seconds(_ frames: Int) -> Double { Double(frames) * Double(denominator) / Double(numerator) }
  /// The frames of that many seconds, 1 or more.
  package func frames(_ seconds: Double) -> Int { max(1, Int((seconds * value).rounded())) }
  /// As ffmpeg reads it.
  package var description: String { "\(numerator)/\(denominator)" }
}
