/// Numbers in sentences.
extension Int {
  /// `1 model`, `2 models`.
  func counted(_ noun: String) -> String { self == 1 ? "1 \(noun)" : "\(self) \(noun)s" }
}

extension Int64 {
  /// For people: `1.5 GiB`.
  var asBytes: String {
    let units: [(String, Double)] = [("GiB", 1_073_741_824), ("MiB", 1_048_576), ("KiB", 1024)]
    for (name, size) in units where Double(self) >= size {
      let tenths = (Double(self) / size * 10).rounded() / 10
      return "\(tenths) \(name)"
    }
    return "\(self) bytes"
  }
}
