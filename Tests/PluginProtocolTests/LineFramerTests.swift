import Foundation
import PluginProtocol
import Testing

@Suite("Framing: bytes to lines")
struct LineFramerTests {
  /// What comes out when `stream` is fed in pieces of `size` bytes.
  private func events(_ stream: [UInt8], by size: Int, limit: Int = LineFramer.defaultLineBytes) -> [LineFramer.Event] {
    var framer = LineFramer(limit: limit)
    return stride(from: 0, to: stream.count, by: size).flatMap {
      framer.feed(Array(stream[$0..<min($0 + size, stream.count)]))
    }
  }

  private func lines(_ texts: String...) -> [LineFramer.Event] { texts.map { .line(Array($0.utf8)) } }

  @Test("any chunking gives the same lines", arguments: [1, 2, 3, 7, 64, 100_000])
  func chunking(_ size: Int) {
    var generator = SeededGenerator(state: 5)
    let expected = (0..<200).map { _ in
      (0..<Int.random(in: 0..<60, using: &generator)).map { _ in
        UInt8.random(in: 11...255, using: &generator)
      }
    }
    let stream = Array(expected.map { $0 + [0x0A] }.joined())
    let whole = events(stream, by: size) == expected.map(LineFramer.Event.line)
    #expect(whole)
    // The longer ones over a cap of 20.
    let capped = events(stream, by: size, limit: 20)
    let cut = capped == expected.map { $0.count <= 20 ? .line($0) : .overlong(length: $0.count, prefix: $0) }
    #expect(cut)
  }

  @Test("10,000 frames in one write")
  func manyInOne() {
    let stream = Array((0..<10_000).map { "{\"n\":\($0)}\n" }.joined().utf8)
    let found = events(stream, by: stream.count)
    #expect(found.count == 10_000)
    #expect(found.last == .line(Array("{\"n\":9999}".utf8)))
  }

  @Test("only LF ends a line")
  func otherSeparators() {
    let text = "a\rb\u{2028}c\u{2029}d\u{85}e\u{B}f\u{C}g\u{0}h\r"
    for size in [1, 1000] { #expect(events(Array("\(text)\n\n".utf8), by: size) == lines(text, "")) }
  }

  @Test("a last line without LF is not a line, and is known to be there")
  func unfinished() {
    var framer = LineFramer()
    #expect(!framer.hasPartialLine)
    #expect(framer.feed(Array("one\ntw".utf8)) == lines("one"))
    #expect(framer.hasPartialLine)
    #expect(framer.feed([]) == [])
    #expect(framer.feed(Array("o\n".utf8)) == lines("two"))
    #expect(!framer.hasPartialLine)
  }

  @Test("the cap counts the line without its LF", arguments: [1, 999, 5000])
  func cap(_ size: Int) {
    let exact = [UInt8](repeating: 0x61, count: 1000)
    #expect(events(exact + [0x0A], by: size, limit: 1000) == [.line(exact)])
    let over = exact + [0x62]
    #expect(events(over + [0x0A], by: size, limit: 1000) == [.overlong(length: 1001, prefix: over)])
  }

  @Test(
    "an overlong line leaves 4 KiB of evidence, and the next line is whole", arguments: [1000, 4096, 65_536, 1 << 22])
  func overlong(_ size: Int) {
    let long = (0..<2_500_000).map { UInt8(0x20 + $0 % 64) }
    let found: [LineFramer.Event] = events(long + [0x0A] + Array("{}\n".utf8), by: size)
    let expected = [.overlong(length: long.count, prefix: Array(long.prefix(LineFramer.evidenceBytes)))] + lines("{}")
    let same = found == expected
    #expect(same)
  }

  @Test("a line of a gibibyte costs no memory to speak of")
  func bounded() throws {
    func resident() throws -> Int {
      let status = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
      return (Int(status.split(separator: " ")[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
    let block = [UInt8](repeating: 0x78, count: 1 << 20)
    var framer = LineFramer()
    let before = try resident()
    for _ in 0..<1024 { #expect(framer.feed(block).isEmpty) }
    // Other tests run beside this one: the slack is theirs.
    #expect(try resident() - before < 512 << 20)
    #expect(framer.hasPartialLine)
    guard case .overlong(let length, let prefix) = framer.feed([0x0A]).first else {
      Issue.record("no overlong line")
      return
    }
    #expect(length == 1 << 30)
    #expect(prefix.count == LineFramer.evidenceBytes)
  }

  @Test("a long line in 64 KiB chunks takes time in proportion to its length")
  func linear() {
    func best(of size: Int) -> Duration {
      let chunk = [UInt8](repeating: 0x61, count: 1 << 16)
      return (0..<5).map { _ in
        ContinuousClock().measure {
          var framer = LineFramer(limit: LineFramer.maximumLineBytes)
          for _ in 0..<(size / chunk.count) { _ = framer.feed(chunk) }
          #expect(framer.feed([0x0A]).count == 1)
        }
      }.min() ?? .zero
    }
    // Eight times the length: 8 when linear, 64 when each chunk looks at all that came before.
    #expect(best(of: 16 << 20) / best(of: 2 << 20) < 30)
  }

  @Test("a raised cap holds for the line that is being read")
  func raised() {
    var framer = LineFramer(limit: 10)
    #expect(framer.feed(Array("12345678".utf8)).isEmpty)
    framer.limit = 20
    #expect(framer.feed(Array("9012345\n".utf8)) == lines("123456789012345"))
  }
}
