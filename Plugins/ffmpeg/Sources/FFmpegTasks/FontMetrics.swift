/// The widths of a font's characters, read from a TrueType or OpenType file: what breaking lines needs.
///
/// Kerning and ligatures are left out; they make lines narrower, hardly ever wider.
package struct FontMetrics: Sendable {
  private let file: [UInt8]
  private let unitsPerEm: Int
  private let widths: Range<Int>
  private let widthCount: Int
  private let segments: Cmap

  /// Where the characters' table stands, by its format.
  private enum Cmap: Sendable {
    case format4(at: Int, segments: Int)
    case format12(at: Int, groups: Int)
  }

  /// Nil when the file is no such font or lacks a table that is needed.
  package init?(_ file: [UInt8]) {
    self.file = file
    let reader = Reader(file: file)
    // A collection holds several fonts; the first is taken.
    let start = file.starts(with: "ttcf".utf8) ? reader.u32(12) : 0
    guard let start, let count = reader.u16(start + 4), count <= 256 else { return nil }
    var tables: [String: Range<Int>] = [:]
    for index in 0..<count {
      let entry = start + 12 + 16 * index
      guard let offset = reader.u32(entry + 8), let length = reader.u32(entry + 12), offset + length <= file.count
      else { return nil }
      tables[String(decoding: file[entry..<entry + 4], as: UTF8.self)] = offset..<offset + length
    }
    guard let head = tables["head"], let hhea = tables["hhea"], let hmtx = tables["hmtx"], let cmap = tables["cmap"],
      let units = reader.u16(head.lowerBound + 18), units > 0,
      let metrics = reader.u16(hhea.lowerBound + 34), metrics > 0, hmtx.count >= 4 * metrics,
      let segments = Self.segments(reader, cmap)
    else { return nil }
    unitsPerEm = units
    widths = hmtx
    widthCount = metrics
    self.segments = segments
  }

  /// The width of a character at size 1; nil when the font has no picture of it.
  package func width(_ scalar: Unicode.Scalar) -> Double? {
    let glyph = glyph(Int(scalar.value))
    return glyph == 0 ? nil : advance(glyph)
  }

  /// The width of the box that is drawn for a character that the font lacks.
  package var missingWidth: Double { advance(0) }

  private func advance(_ glyph: Int) -> Double {
    let units = Reader(file: file).u16(widths.lowerBound + 4 * min(glyph, widthCount - 1)) ?? unitsPerEm
    return Double(units) / Double(unitsPerEm)
  }

  private static func segments(_ reader: Reader, _ cmap: Range<Int>) -> Cmap? {
    guard let count = reader.u16(cmap.lowerBound + 2), count <= 64 else { return nil }
    var best: Cmap?
    for index in 0..<count {
      guard let offset = reader.u32(cmap.lowerBound + 4 + 8 * index + 4) else { return nil }
      let at = cmap.lowerBound + offset
      switch reader.u16(at) {
      case 12:
        if let groups = reader.u32(at + 12), groups <= 100_000 { return .format12(at: at + 16, groups: groups) }
      case 4: if let twice = reader.u16(at + 6) { best = .format4(at: at, segments: twice / 2) }
      default: break
      }
    }
    return best
  }

  private func glyph(_ code: Int) -> Int {
    let reader = Reader(file: file)
    switch segments {
    case .format12(let at, let groups):
      var (low, high) = (0, groups)
      while low < high {
        let middle = (low + high) / 2
        let entry = at + 12 * middle
        guard let first = reader.u32(entry), let last = reader.u32(entry + 4), let glyph = reader.u32(entry + 8)
        else { return 0 }
        if code < first { high = middle } else if code > last { low = middle + 1 } else { return glyph + code - first }
      }
      return 0
    case .format4(let at, let segments):
      // Four parallel arrays: ends, two bytes of padding, starts, deltas, offsets.
      for segment in 0..<segments {
        guard let end = reader.u16(at + 14 + 2 * segment) else { return 0 }
        guard code <= end else { continue }
        let starts = at + 16 + 2 * segments + 2 * segment
        guard let first = reader.u16(starts), first <= code, let delta = reader.u16(starts + 2 * segments),
          let offset = reader.u16(starts + 4 * segments)
        else { return 0 }
        if offset == 0 { return (code + delta) & 0xFFFF }
        let glyph = reader.u16(starts + 4 * segments + offset + 2 * (code - first)) ?? 0
        return glyph == 0 ? 0 : (glyph + delta) & 0xFFFF
      }
      return 0
    }
  }

  /// Big-endian numbers; nil beyond the end.
  private struct Reader {
    let file: [UInt8]

    func u16(_ at: Int) -> Int? {
      guard at >= 0, at + 2 <= file.count else { return nil }
      return Int(file[at]) << 8 | Int(file[at + 1])
    }

    func u32(_ at: Int) -> Int? {
      guard let high = u16(at), let low = u16(at + 2) else { return nil }
      return high << 16 | low
    }
  }
}
