import LlamaText
import Testing

/// Feeds a text in pieces of every size and gives back what came out.
private func stream(_ text: String, size: Int, _ body: ([UInt8]) -> [UInt8]) -> [[UInt8]] {
  let bytes = Array(text.utf8)
  return stride(from: 0, to: bytes.count, by: size).map { body(Array(bytes[$0..<min($0 + size, bytes.count)])) }
}

private func string(_ pieces: [[UInt8]]) -> String { String(decoding: pieces.joined(), as: UTF8.self) }

@Suite struct UTF8GateTests {
  @Test(arguments: [1, 2, 3, 4, 5, 7, 64])
  func neverSplitsACharacter(size: Int) {
    let text = "naïve 🌊🐙 日本語 Ω 👩‍👩‍👧 end"
    var gate = UTF8Gate()
    let pieces = stream(text, size: size) { gate.feed($0) } + [gate.finish()]
    #expect(string(pieces) == text)
    for piece in pieces { #expect(String(validating: piece, as: UTF8.self) != nil) }
  }

  @Test func replacesWhatIsNoCharacter() {
    var gate = UTF8Gate()
    #expect(gate.feed([0x61, 0xFF, 0x62]) == Array("a\u{FFFD}b".utf8))
    #expect(gate.feed([0xE2, 0x82]) == [])
    #expect(gate.feed([0x41]) == Array("\u{FFFD}A".utf8))
    #expect(gate.feed([0xF0, 0x9F]) == [])
    #expect(gate.finish() == Array("\u{FFFD}".utf8))
    #expect(gate.finish() == [])
  }

  @Test func holdsNoMoreThanThreeBytes() {
    var gate = UTF8Gate()
    let out = gate.feed([UInt8](repeating: 0x80, count: 1000))
    #expect(out.count >= 997 * 3)
  }
}

@Suite struct StopFilterTests {
  @Test(arguments: [1, 2, 3, 5, 100])
  func cutsAtTheFirstStop(size: Int) {
    var filter = StopFilter(["</s>", "STOP", "\n\n"])
    let pieces = stream("one STO two\nSTOPped </s>", size: size) { filter.feed($0) } + [filter.finish()]
    #expect(string(pieces) == "one STO two\n")
    #expect(filter.hasStopped)
  }

  @Test func letsNothingOutThatMayBecomeAStop() {
    var filter = StopFilter(["abcd"])
    #expect(filter.feed(Array("xabc".utf8)) == Array("x".utf8))
    #expect(filter.feed(Array("ab".utf8)) == Array("abc".utf8))
    #expect(filter.feed(Array("cd".utf8)) == [])
    #expect(filter.hasStopped)
    #expect(filter.feed(Array("more".utf8)) == [])
    #expect(filter.finish() == [])
  }

  @Test func givesBackWhatWasNoStopAfterAll() {
    var filter = StopFilter(["abcd"])
    #expect(filter.feed(Array("zabc".utf8)) == Array("z".utf8))
    #expect(filter.finish() == Array("abc".utf8))
    #expect(!filter.hasStopped)
  }

  @Test func takesTheEarliestOfOverlappingStops() {
    var filter = StopFilter(["bcd", "abcx", "c"])
    #expect(filter.feed(Array("zabcd".utf8)) == Array("za".utf8))
  }

  @Test func holdsBackWholeCharacters() {
    var filter = StopFilter(["é🌊"])
    #expect(filter.feed(Array("aé".utf8)) == Array("a".utf8))
    #expect(filter.feed(Array("🐙".utf8)) == Array("é🐙".utf8))
  }

  @Test func withoutStopsEverythingPasses() {
    var filter = StopFilter([])
    #expect(filter.feed([1, 2, 3]) == [1, 2, 3])
    #expect(filter.finish() == [])
  }
}

@Suite struct ReasoningSplitterTests {
  private func split(_ text: String, size: Int, isOpen: Bool = false) -> (reasoning: String, content: String) {
    var splitter = ReasoningSplitter(isOpen: isOpen)
    var parts: [ReasoningSplitter.Parts] = []
    _ = stream(text, size: size) {
      parts.append(splitter.feed($0))
      return []
    }
    parts.append(splitter.finish())
    return (string(parts.map(\.reasoning)), string(parts.map(\.content)))
  }

  @Test(arguments: [1, 2, 3, 7, 100])
  func takesTheBlockOut(size: Int) {
    let (reasoning, content) = split("\n<think>\nso < 3 </thin\n</think>\n\nThe answer </think>.", size: size)
    #expect(reasoning == "so < 3 </thin\n")
    #expect(content == "The answer </think>.")
  }

  @Test(arguments: [1, 3, 100])
  func leavesATagInTheMiddleAlone(size: Int) {
    let (reasoning, content) = split("The tag <think> opens it.", size: size)
    #expect(reasoning == "")
    #expect(content == "The tag <think> opens it.")
  }

  @Test(arguments: [1, 3, 100])
  func startsInsideWhenThePromptOpenedIt(size: Int) {
    let (reasoning, content) = split("because</think>yes", size: size, isOpen: true)
    #expect(reasoning == "because")
    #expect(content == "yes")
  }

  @Test func anUnfinishedBlockIsReasoning() {
    #expect(split("<think>for ever</thi", size: 1) == ("for ever</thi", ""))
    #expect(split("  <thi", size: 1) == ("", "  <thi"))
  }

  @Test func aModelWithoutTagsHasNoReasoning() {
    var splitter = ReasoningSplitter(startTag: "", endTags: [])
    #expect(splitter.feed(Array("<think>x".utf8)).content == Array("<think>x".utf8))
  }
}
