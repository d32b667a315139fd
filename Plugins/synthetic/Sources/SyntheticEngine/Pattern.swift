/// A mirrored grid of coloured cells that follows from a fingerprint: unlike prompts look unlike.
struct Pattern: Sendable {
  /// Cells a side.
  static let cells = 16

  private let palette: [(UInt8, UInt8, UInt8)]
  /// The left half, row by row: indexes into the palette.
  private let half: [UInt8]

  init(_ fingerprint: Fingerprint) {
    let colours = fingerprint.bytes
    palette = (0..<4).map { (colours[$0 * 3], colours[$0 * 3 + 1], colours[$0 * 3 + 2]) }
    half = fingerprint.stream(Pattern.cells * Pattern.cells / 2).map { $0 & 3 }
  }

  /// The pixels of a square of `size` pixels a side, moved down by `roll` cells; 8-bit RGB, rows from the top.
  func pixels(size: Int, roll: Int = 0) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(size * size * 3)
    let width = Pattern.cells / 2
    for row in 0..<Pattern.cells {
      let source = ((row - roll) % Pattern.cells + Pattern.cells) % Pattern.cells
      var line: [UInt8] = []
      line.reserveCapacity(size * 3)
      for x in 0..<size {
        let column = x * Pattern.cells / size
        let mirrored = column < width ? column : Pattern.cells - 1 - column
        let (red, green, blue) = palette[Int(half[source * width + mirrored])]
        line += [red, green, blue]
      }
      let lines = size * (row + 1) / Pattern.cells - size * row / Pattern.cells
      for _ in 0..<lines { out += line }
    }
    return out
  }
}
