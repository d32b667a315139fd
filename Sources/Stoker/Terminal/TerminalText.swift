/// Text from engines, models and files, made harmless and measurable for a terminal.
enum TerminalText {
  /// The text with everything that would steer a terminal shown instead of obeyed: escape and other control characters
  /// as their control pictures (U+2400…), C1 controls, bidirectional overrides and line separators as U+FFFD.
  ///
  /// Works scalar by scalar, so that a sequence cut in two by chunking is caught as well.
  /// - Parameter keepsLines: Lets LF and TAB through; otherwise they become spaces, for one-line places.
  static func sanitise(_ text: some StringProtocol, keepsLines: Bool) -> String {
    guard text.unicodeScalars.contains(where: isSteering) else { return String(text) }
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x0A, 0x09: out.append(keepsLines ? scalar : " ")
      case 0x7F: out.append("\u{2421}")
      case 0..<0x20: out.append(Unicode.Scalar(0x2400 + scalar.value) ?? "\u{FFFD}")
      default: out.append(isSteering(scalar) ? "\u{FFFD}" : scalar)
      }
    }
    return String(out)
  }

  private static func isSteering(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F...0x9F: true
    // Line and paragraph separator; embeddings, overrides and isolates of bidirectional text.
    case 0x2028, 0x2029, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
  }

  /// Columns that the text takes: 0 for combining marks, 2 for East Asian wide characters and emoji. An approximation of
  /// Unicode's UAX #11 by its great blocks.
  static func width(_ text: some StringProtocol) -> Int {
    text.unicodeScalars.reduce(0) { $0 + width($1) }
  }

  /// The text cut to a number of columns, with an ellipsis in place of what was cut.
  static func cut(_ text: String, to columns: Int) -> String {
    guard width(text) > columns else { return text }
    guard columns > 0 else { return "" }
    var out = String.UnicodeScalarView()
    var used = 0
    for scalar in text.unicodeScalars {
      let next = width(scalar)
      guard used + next <= columns - 1 else { break }
      out.append(scalar)
      used += next
    }
    return String(out) + "…"
  }

  /// The text with spaces after (or before) it up to a number of columns.
  static func pad(_ text: String, to columns: Int, right: Bool = false) -> String {
    let fill = String(repeating: " ", count: max(0, columns - width(text)))
    return right ? fill + text : text + fill
  }

  private static func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case 0x300...0x36F, 0x200B...0x200D, 0xFE00...0xFE0F, 0x20D0...0x20F0: 0
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
      0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
      2
    default: 1
    }
  }
}
