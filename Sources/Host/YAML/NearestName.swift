/// Finds the name somebody meant.
package enum NearestName {
  /// The candidate closest to a mistyped name, or nil when none is close: at most three edits for names of eight or
  /// more characters, two for four or more, one below. Of equals the first wins.
  package static func find(_ name: String, among candidates: some Sequence<String>) -> String? {
    let wanted = Array(name.lowercased().unicodeScalars.prefix(64))
    let bound = wanted.count >= 8 ? 3 : wanted.count >= 4 ? 2 : 1
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let other = Array(candidate.lowercased().unicodeScalars.prefix(64))
      guard abs(other.count - wanted.count) <= bound else { continue }
      let distance = distance(wanted, other)
      // Replacing most of a short word is another word, not a slip.
      guard distance <= bound, distance < max(other.count, 2) else { continue }
      if best.map({ distance < $0.distance }) ?? true { best = (candidate, distance) }
    }
    return best?.name
  }

  /// The message about an unknown name: with the nearest known one, or else with all of them.
  package static func message(unknown what: String, _ name: String, among candidates: [String]) -> String {
    let said = "unknown \(what) \(name.quotedForMessage)"
    if let nearest = find(name, among: candidates) { return "\(said); did you mean '\(nearest)'?" }
    return candidates.isEmpty ? said : "\(said); known: \(candidates.joined(separator: ", "))"
  }

  /// Edits between two words, where swapping two neighbours counts as one (optimal string alignment).
  private static func distance(_ a: [UnicodeScalar], _ b: [UnicodeScalar]) -> Int {
    guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in 1...a.count {
      var row = [i]
      row.reserveCapacity(b.count + 1)
      for j in 1...b.count {
        let cost = a[i - 1] == b[j - 1] ? 0 : 1
        var value = min(row[j - 1] + 1, last[j] + 1, last[j - 1] + cost)
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { value = min(value, beforeLast[j - 2] + 1) }
        row.append(value)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
