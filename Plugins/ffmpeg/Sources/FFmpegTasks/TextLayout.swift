import PluginProtocol

/// Text broken into centred lines, at the largest size that fits a picture.
package struct TextLayout: Equatable, Sendable {
  package struct Line: Equatable, Sendable {
    package var text: String
    /// Pixels from the top of the picture.
    package var baseline: Int
  }

  package var lines: [Line]
  /// Pixels.
  package var fontSize: Int
  /// Characters that the font has no picture of.
  package var missing: Int

  /// The part of the picture that text may fill.
  private static let part = 0.86
  private static let lineHeight = 1.3
  /// How far the baseline is below a line's top, in parts of the font size.
  private static let ascent = 0.95
  private static let smallest = 9
  private static let maximumLines = 64

  /// - Throws: `bad_input` when there is nothing to show, or too much.
  package init(_ text: String, in size: PixelSize, font: FontMetrics) throws {
    let paragraphs = Self.paragraphs(text)
    guard paragraphs.contains(where: { !$0.isEmpty }) else {
      throw EngineError(.badInput, "task.prompt has no text to show")
    }
    // Words stay whole as long as any size allows it.
    for breaksWords in [false, true] {
      var pixels = max(Self.smallest, size.height / 6)
      while pixels >= Self.smallest {
        let room = Double(size.width) * Self.part / Double(pixels)
        let height = Double(pixels) * Self.lineHeight
        if let lines = Self.wrap(paragraphs, width: room, font: font, breaksWords: breaksWords),
          Double(lines.count) * height <= Double(size.height) * Self.part
        {
          let top = (Double(size.height) - Double(lines.count) * height) / 2
          self.lines = lines.enumerated().map { index, text in
            Line(text: text, baseline: Int((top + Double(index) * height + Double(pixels) * Self.ascent).rounded()))
          }
          fontSize = pixels
          missing = text.unicodeScalars.count { $0.value > 0x20 && font.width($0) == nil }
          return
        }
        pixels = min(pixels - 1, pixels * 19 / 20)
      }
    }
    throw EngineError(.badInput, "task.prompt does not fit on \(size) pixels: shorten it or enlarge the picture")
  }

  /// Words by paragraph. Control characters, which have no picture, separate words.
  static func paragraphs(_ text: String) -> [[String]] {
    let paragraphs = text.split(omittingEmptySubsequences: false) { $0.isNewline }.map { paragraph in
      paragraph.split { character in
        character.isWhitespace || character.unicodeScalars.allSatisfy { $0.properties.generalCategory == .control }
      }.map { word in
        String(String.UnicodeScalarView(word.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }))
      }
    }
    let filled = paragraphs.indices.filter { !paragraphs[$0].isEmpty }
    guard let first = filled.first, let last = filled.last else { return [] }
    return Array(paragraphs[first...last])
  }

  /// Nil when there are too many lines, or a word is wider than a line and may not be broken.
  private static func wrap(
    _ paragraphs: [[String]], width: Double, font: FontMetrics, breaksWords: Bool
  ) -> [String]? {
    var lines: [String] = []
    let space = font.width(" ") ?? font.missingWidth
    for words in paragraphs {
      var line = ""
      var used = 0.0
      for word in words {
        let wide = self.width(word, font)
        if used > 0, used + space + wide <= width {
          line += " \(word)"
          used += space + wide
          continue
        }
        if used > 0 { lines.append(line) }
        (line, used) = (word, wide)
        if wide > width {
          guard breaksWords else { return nil }
          (line, used) = ("", 0)
          for character in word {
            let step = self.width(String(character), font)
            if used > 0, used + step > width {
              lines.append(line)
              (line, used) = ("", 0)
            }
            line.append(character)
            used += step
          }
        }
        guard lines.count < maximumLines else { return nil }
      }
      lines.append(line)
      guard lines.count <= maximumLines else { return nil }
    }
    return lines
  }

  private static func width(_ text: String, _ font: FontMetrics) -> Double {
    text.unicodeScalars.reduce(0) { $0 + (font.width($1) ?? font.missingWidth) }
  }
}
