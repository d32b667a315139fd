import PluginProtocol
import Testing

@testable import FFmpegTasks

/// A font with the characters space to `~`, all half an em wide, in the least tables that a font needs.
private func smallFont() -> [UInt8] {
  func u16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
  func u32(_ value: Int) -> [UInt8] { u16(value >> 16) + u16(value & 0xFFFF) }
  let head = [UInt8](repeating: 0, count: 18) + u16(1000) + [UInt8](repeating: 0, count: 34)
  let hhea = [UInt8](repeating: 0, count: 34) + u16(1)
  let hmtx = u16(500) + u16(0)
  // One segment, 0x20 to 0x7E, glyphs from 1, and the closing one.
  let map =
    u16(4) + u16(32) + u16(0) + u16(4) + u16(0) + u16(0) + u16(0) + u16(0x7E) + u16(0xFFFF) + u16(0) + u16(0x20)
    + u16(0xFFFF) + u16(0x10000 - 0x1F) + u16(1) + u16(0) + u16(0)
  let cmap = u16(0) + u16(1) + u16(3) + u16(1) + u32(12) + map
  let tables = [("cmap", cmap), ("head", head), ("hhea", hhea), ("hmtx", hmtx)]
  var directory = u32(0x10000) + u16(tables.count) + u16(0) + u16(0) + u16(0)
  var body: [UInt8] = []
  for (name, bytes) in tables {
    directory += Array(name.utf8) + u32(0) + u32(12 + 16 * tables.count + body.count) + u32(bytes.count)
    body += bytes
  }
  return directory + body
}

@Suite struct TextLayoutTests {
  private func layout(_ text: String, _ width: Int = 320, _ height: Int = 240) throws -> TextLayout {
    try TextLayout(text, in: PixelSize(width, height), font: try #require(FontMetrics(smallFont())))
  }

  @Test func widthsComeFromTheFont() throws {
    let font = try #require(FontMetrics(smallFont()))
    #expect(font.width("a") == 0.5)
    #expect(font.width("\u{7F}") == nil)
    #expect(font.width("語") == nil)
    #expect(font.missingWidth == 0.5)
  }

  @Test func brokenFontsAreNone() {
    let font = smallFont()
    for length in 0..<font.count { _ = FontMetrics(Array(font.prefix(length))).map { $0.width("a") } }
    for position in font.indices {
      var changed = font
      changed[position] = 0xFF
      _ = FontMetrics(changed).map { [$0.width("a"), $0.width("語"), $0.missingWidth] }
    }
    #expect(FontMetrics([]) == nil)
    #expect(FontMetrics(Array("no font at all".utf8)) == nil)
  }

  @Test func linesFitAndAreInOrder() throws {
    let made = try layout("the quick brown fox jumps over the lazy dog")
    #expect(made.lines.count > 1)
    #expect(made.lines.map(\.text).joined(separator: " ") == "the quick brown fox jumps over the lazy dog")
    for line in made.lines { #expect(Double(line.text.count * made.fontSize) * 0.5 <= 320 * 0.86 + 0.01) }
    #expect(zip(made.lines, made.lines.dropFirst()).allSatisfy { $0.baseline < $1.baseline })
    let first = try #require(made.lines.first), last = try #require(made.lines.last)
    #expect(first.baseline >= made.fontSize / 2 && last.baseline <= 240)
  }

  @Test func lineBreaksStayAndControlCharactersGo() throws {
    #expect(try layout("\n a\tb\u{7}c \r\n\n d\u{2028}e\n").lines.map(\.text) == ["a b c", "", "d", "e"])
    #expect(try layout("語 a").missing == 1)
  }

  @Test func shortTextIsLargerAndLongWordsAreBroken() throws {
    #expect(
      try layout("hi").fontSize
        > (try layout(
          "a longer text than that, by far, which takes so many lines that it must be small, however it is broken, on and on"
        )).fontSize)
    let word = String(repeating: "x", count: 200)
    #expect(try layout(word).lines.map(\.text).joined() == word)
  }

  @Test(arguments: ["", " \n\t", String(repeating: "word ", count: 2000)])
  func textThatCannotBeShownIsRefused(text: String) {
    let error = #expect(throws: EngineError.self) { try layout(text) }
    #expect(error?.failure == .badInput)
  }
}
