/// Which model ids an engine serves: an id, or a glob in which `*` stands for any characters, none included, and `?`
/// for exactly one. Matching is case-sensitive and always of the whole id.
package struct ModelPattern: Sendable, Hashable, CustomStringConvertible {
  package let text: String

  package init(_ text: String) { self.text = text }

  package var description: String { text }

  /// True when the pattern names exactly one id.
  package var isExact: Bool { !text.contains { $0 == "*" || $0 == "?" } }

  /// Takes time proportional to the product of both lengths at worst, whatever the pattern: only the last `*` is ever
  /// tried again, which suffices because an earlier one matched as little as it could.
  package func matches(_ id: String) -> Bool {
    let pattern = Array(text.unicodeScalars)
    let name = Array(id.unicodeScalars)
    var p = 0
    var n = 0
    var star: (pattern: Int, name: Int)?
    while n < name.count {
      if p < pattern.count, pattern[p] == "*" {
        star = (p, n)
        p += 1
      } else if p < pattern.count, pattern[p] == "?" || pattern[p] == name[n] {
        p += 1
        n += 1
      } else if let last = star {
        star = (last.pattern, last.name + 1)
        p = last.pattern + 1
        n = last.name + 1
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == "*" }
  }
}
