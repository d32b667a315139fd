import Testing

@testable import Host

private enum Color: String, CaseIterable { case red, green }

private func decode(_ text: String, _ body: (YAMLFields) -> Void) throws -> [String] {
  let collector = DiagnosticCollector(file: "f")
  let node = try YAMLNode(parsing: Array(text.utf8), file: "f")
  _ = collector.fields(node, path: "", body)
  return collector.diagnostics.map(\.description)
}

@Suite struct YAMLFieldsTests {
  @Test func readsEachType() throws {
    let text = """
      s: x
      b: true
      i: 5
      d: 1
      t: 1.5h
      z: 512MiB
      n: 4096
      c: green
      l: [a, b]
      o: [red]
      m: {k: 1}
      x-free: {anything: [1]}
      """
    let messages = try decode(text) { fields in
      #expect(fields.string("s") == "x")
      #expect(fields.bool("b") == true)
      #expect(fields.int("i", in: 0...9) == 5)
      #expect(fields.double("d", in: 0...9) == 1)
      #expect(fields.duration("t") == .seconds(5400))
      #expect(fields.byteSize("z") == 512 << 20)
      #expect(fields.byteSize("n") == 4096)
      #expect(fields.choice("c", Color.self) == .green)
      #expect(fields.strings("l") == ["a", "b"])
      #expect(fields.choices("o", Color.self) == [.red])
      #expect(fields.mapping("m") { $0.int("k", in: 0...9) } == 1)
      #expect(fields.string("absent") == nil)
    }
    #expect(messages == [])
  }

  @Test func reportsEverythingAtOnceWithPlaces() throws {
    let text =
      "sumary: x\nversion: 1.2\ncount: 99\nwait: 10\ncolor: rad\nlist: [a, a, 3]\nsub: {kind: 1, knd: 2}\nzzzz: 1\n"
    let messages = try decode(text) { fields in
      _ = fields.string("summary")
      _ = fields.string("version")
      _ = fields.int("count", in: 1...9)
      _ = fields.duration("wait")
      _ = fields.choice("color", Color.self)
      _ = fields.strings("list")
      _ = fields.mapping("sub") { $0.string("kind") }
    }
    #expect(
      messages == [
        "f:2:10: version: expected a text, found the number 1.2; put it in quotes",
        "f:3:8: count: 99 is out of range; use 1 to 9",
        "f:4:7: wait: expected a duration with its unit, such as 500ms, 10s, 5m or 2h, found the number 10",
        "f:5:8: color: 'rad' is not one of red, green; did you mean 'red'?",
        "f:6:11: list: the text 'a' is listed twice; remove one",
        "f:6:14: list: expected a text, found the number 3; put it in quotes",
        "f:7:13: sub.kind: expected a text, found the number 1; put it in quotes",
        "f:7:16: sub: unknown key 'knd'; did you mean 'kind'?",
        "f:1:1: unknown key 'sumary'; did you mean 'summary'?",
        "f:8:1: unknown key 'zzzz'; known: summary, version, count, wait, color, list, sub",
      ])
  }

  @Test func aListInPlaceOfAMappingIsReported() throws {
    #expect(try decode("- a\n") { _ in } == ["f:1:1: expected a mapping of keys to values, found a list"])
    #expect(try decode("") { _ in } == ["f:1:1: expected a mapping of keys to values, found nothing"])
    #expect(try decode("a:\n") { _ = $0.string("a") } == ["f:1:3: a: expected a text, found nothing"])
  }

  @Test func hostileTextIsNeutralizedInMessages() throws {
    let messages = try decode(#""\e[31mred\n": 1"#) { _ = $0.string("a") }
    #expect(messages == [#"f:1:1: unknown key '\u{1b}[31mred\u{a}'; known: a"#])
  }

  @Test func anErrorBehindManyWarningsStillCounts() {
    let collector = DiagnosticCollector(file: "f")
    let mark = YAMLMark(line: 1, column: 1)
    for _ in 0..<200 { collector.warning("w", at: mark) }
    for _ in 0..<200 { collector.error("e", at: mark) }
    let failure = #expect(throws: SourceDiagnostics.self) { try collector.finish() }
    #expect(failure?.all.count == 51 && failure?.all.last?.message == "e")
  }

  @Test(arguments: [
    ("500ms", Duration.milliseconds(500)), ("10s", .seconds(10)), ("2m", .seconds(120)), ("1.5h", .seconds(5400)),
    ("30d", .seconds(2_592_000)),
  ]) func durations(_ text: String, _ value: Duration) throws {
    #expect(DurationText.parse(text) == value)
    #expect(DurationText.parse(DurationText.text(value)) == value)
  }

  @Test(arguments: [
    "", "10", "s", "-1s", "1 s", "1.s", ".5s", "1.2.3s", "1y", "99999999999999999999s", "4000d", "1e3s",
  ])
  func badDurations(_ text: String) { #expect(DurationText.parse(text) == nil) }

  @Test func byteSizes() {
    #expect(ByteSize.parse("1.5GB") == 1_500_000_000)
    #expect(ByteSize.parse("2GiB") == 2 << 30)
    #expect(ByteSize.parse("12") == 12)
    for bad in ["", "1.5", "-1", "9999999TiB", "1gb", "GB"] { #expect(ByteSize.parse(bad) == nil, "\(bad)") }
    for size: Int64 in [0, 1, 1000, 1024, 3 << 30, 1 << 40] { #expect(ByteSize.parse(ByteSize.text(size)) == size) }
  }

  @Test(arguments: [
    ("sumary", "summary"), ("sumamry", "summary"), ("SUMMARY", "summary"), ("sandbx", "sandbox"), ("nmae", "name"),
  ]) func nearestNames(_ typed: String, _ meant: String) {
    #expect(NearestName.find(typed, among: ["name", "summary", "sandbox"]) == meant)
  }

  @Test(arguments: ["", "x", "completely", "foo"]) func noNearestName(_ typed: String) {
    #expect(NearestName.find(typed, among: ["name", "summary", "sandbox"]) == nil)
  }
}
