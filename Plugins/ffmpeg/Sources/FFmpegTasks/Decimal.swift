/// A number as ffmpeg's expressions and options read it: six decimals, a point, no exponent, in every locale.
///
/// Values are finite and below 10^9.
func decimal(_ value: Double) -> String {
  let millionths = Int((value * 1_000_000).rounded())
  let digits = String(abs(millionths) % 1_000_000)
  let padding = String(repeating: "0", count: 6 - digits.count)
  return "\(millionths < 0 ? "-" : "")\(abs(millionths) / 1_000_000).\(padding)\(digits)"
}
