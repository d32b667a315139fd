/// Finds the first of several markers in a text that comes in pieces, and never lets a part of one through.
///
/// Markers and text are UTF-8 and pieces end at a character's end, so what is let through does too.
public struct MarkerScanner: Sendable {
  /// What a piece led to.
  public struct Step: Equatable, Sendable {
    /// Text before a marker, or text that cannot become part of one any more.
    public var clear: [UInt8]
    /// Present when a marker was found: what follows it. The scanner is then at its beginning again.
    public var rest: [UInt8]?
  }

  private let markers: [[UInt8]]
  private var held: [UInt8] = []

  /// Empty markers are left out: they would match everywhere.
  public init(_ markers: [String]) {
    self.markers = markers.map { Array($0.utf8) }.filter { !$0.isEmpty }
  }

  /// Takes the next piece of text.
  public mutating func feed(_ bytes: [UInt8]) -> Step {
    guard !markers.isEmpty else { return Step(clear: bytes) }
    held.append(contentsOf: bytes)
    for start in held.indices {
      let tail = held[start...]
      for marker in markers {
        if tail.starts(with: marker) {
          let step = Step(clear: Array(held[..<start]), rest: Array(tail.dropFirst(marker.count)))
          held = []
          return step
        }
      }
      // From here on every byte may belong to a marker that has not ended: keep it.
      if markers.contains(where: { $0.starts(with: tail) }) {
        let step = Step(clear: Array(held[..<start]))
        held.removeFirst(start)
        return step
      }
    }
    defer { held = [] }
    return Step(clear: held)
  }

  /// The end of the text: what was held back was no marker after all.
  public mutating func finish() -> [UInt8] {
    defer { held = [] }
    return held
  }
}
