/// Rows in aligned columns.
struct Table {
  /// How a column is laid out.
  struct Column {
    let title: String
    /// Numbers stand at the right edge.
    var isNumeric = false
    /// Gives up its width first when the terminal is narrow.
    var isFlexible = false
    var colour: @Sendable (String) -> Console.Colour? = { _ in nil }
  }

  private let columns: [Column]
  private var rows: [[String]] = []

  init(_ columns: [Column]) { self.columns = columns }

  /// Adds a row of one cell a column. The cells may come from anywhere: they are made fit for one line.
  mutating func add(_ cells: [String]) {
    rows.append(cells.map { $0.isEmpty ? "-" : TerminalText.sanitise($0, keepsLines: false) })
  }

  /// The lines, header first; none is wider than the console, unless its fixed columns alone are.
  func lines(for console: Console) -> [String] {
    var widths = columns.indices.map { index in
      rows.reduce(columns[index].title.count) { max($0, TerminalText.width($1[index])) }
    }
    let gaps = 2 * (columns.count - 1)
    if let limit = console.width {
      for index in columns.indices.reversed() where columns[index].isFlexible {
        let excess = widths.reduce(gaps, +) - limit
        if excess > 0 { widths[index] = max(columns[index].title.count, 8, widths[index] - excess) }
      }
    }
    let header = line(columns.map(\.title), widths) { text, _ in console.paint(text, .bold) }
    return [header] + rows.map { row in line(row, widths) { console.paint($0, columns[$1].colour(row[$1])) } }
  }

  private func line(_ cells: [String], _ widths: [Int], _ paint: (String, Int) -> String) -> String {
    var out = ""
    for index in columns.indices {
      let isLast = index == columns.count - 1
      let text = TerminalText.cut(cells[index], to: widths[index])
      let padded =
        isLast && !columns[index].isNumeric
        ? text : TerminalText.pad(text, to: widths[index], right: columns[index].isNumeric)
      out += paint(padded, index) + (isLast ? "" : "  ")
    }
    return out
  }
}
