import PluginProtocol
import Testing

@testable import Host

private func parse(_ text: String, limits: YAMLLimits = .manifest) -> Result<YAMLNode, YAMLError> {
  Result { () throws(YAMLError) in try YAMLNode(parsing: Array(text.utf8), file: "f.yaml", limits: limits) }
}

private func failure(_ text: String, limits: YAMLLimits = .manifest) -> String? {
  if case .failure(let error) = parse(text, limits: limits) { error.description } else { nil }
}

@Suite struct YAMLParserTests {
  @Test func readsNestedDataWithMarks() throws {
    let node = try parse("# note\nname: llama\nlist:\n  - a\n  - {b: 'x'}\né: ü # c\n").get()
    #expect(node["name"]?.scalar == .string("llama") && node["name"]?.mark == YAMLMark(line: 2, column: 7))
    #expect(node["name"]?.end == YAMLMark(line: 2, column: 12))
    let inner = try #require(node["list"]?.sequence?[1].mapping?.first)
    #expect(inner.keyMark == YAMLMark(line: 5, column: 6))
    #expect(inner.value.scalar == .string("x"))
    #expect(node["é"]?.mark == YAMLMark(line: 6, column: 4))
    #expect(node.json.text == #"{"list":["a",{"b":"x"}],"name":"llama","é":"ü"}"#)
  }

  @Test(arguments: ["", "# only a comment\n", "---\n", "\u{FEFF}"]) func emptyIsNull(_ text: String) throws {
    #expect(try parse(text).get().isNull)
  }

  @Test(arguments: [
    ("a: &x 1\n", "f.yaml:1:4: anchors (&name) are not allowed; write the value out where it is needed"),
    ("a: *x\n", "f.yaml:1:4: aliases (*name) are not allowed; write the value out, or put a pattern in quotes"),
    ("a: !!int 1\n", "f.yaml:1:4: tags (!name) are not allowed; write the plain value"),
    ("a: !x {}\n", "f.yaml:1:4: tags (!name) are not allowed; write the plain value"),
    ("a: &x []\n", "f.yaml:1:4: anchors (&name) are not allowed; write the value out where it is needed"),
    ("&k a: 1\n", "f.yaml:1:1: anchors (&name) are not allowed; write the value out where it is needed"),
    ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: duplicate key 'a', first used on line 1; keep one of them"),
    ("a: 1\n\"a\": 3\n", "f.yaml:2:1: duplicate key 'a', first used on line 1; keep one of them"),
    ("? [a]\n: 1\n", "f.yaml:1:3: a key must be a plain word, not a list or a mapping"),
    ("a: 1\n---\nb: 1\n", "f.yaml:2:1: a second document begins here; keep one document a file (remove '---')"),
    ("%YAML 1.2\n---\na: 1\n", "f.yaml:1:1: directives (lines that start with %) are not allowed; remove it"),
    (
      "a:\n\tb: 1\n",
      "f.yaml:2:1: a tab is used for indentation; YAML allows only spaces, so replace it by spaces"
    ),
    (
      "a:\n  b: 1\n \tc: 1\n",
      "f.yaml:3:2: a tab is used for indentation; YAML allows only spaces, so replace it by spaces"
    ),
  ]) func refuses(_ text: String, _ message: String) { #expect(failure(text) == message) }

  @Test func syntaxErrorsHaveTheirPlace() throws {
    let message = try #require(failure("a: [1, 2\nb: 3\n"))
    #expect(message.hasPrefix("f.yaml:2:") && message.contains("flow sequence"))
    #expect(try #require(failure("a: \u{1}\n")).hasPrefix("f.yaml:1:4: control characters are not allowed"))
  }

  @Test func refusesBytesThatAreNotUTF8() {
    let bytes = Array("a: 1\nb: é".utf8) + [0xFF]
    #expect(throws: YAMLError(file: "f", line: 2, column: 5, message: "not UTF-8 text; save the file as UTF-8")) {
      try YAMLNode(parsing: bytes, file: "f")
    }
    let utf16: [UInt8] = [0xFF, 0xFE, 0x61, 0, 0x3A, 0]
    #expect(throws: YAMLError(file: "f", line: 1, column: 1, message: "not UTF-8 text; save the file as UTF-8")) {
      try YAMLNode(parsing: utf16, file: "f")
    }
  }

  @Test func limitsHold() throws {
    let deep = { (n: Int) in String(repeating: "[", count: n) + String(repeating: "]", count: n) }
    #expect(failure(deep(32)) == nil)
    #expect(failure(deep(33)) == "f.yaml:1:33: nested deeper than 32 levels; flatten it")
    #expect(try #require(failure(deep(30_000))).contains("nested deeper"))
    #expect(
      failure(String(repeating: "a", count: 65_537)) == "f.yaml: the file is larger than 64KiB; make it smaller")
    let many = "[" + String(repeating: "1,", count: 20_001) + "]"
    #expect(try #require(failure(many)).contains("more than 20000 values"))
    var bomb = "a: &a [x,x]\n"
    for index in 0..<20 { bomb += "b\(index): &b\(index) [*a,*a]\n" }
    #expect(try #require(failure(bomb)).contains("anchors"))
  }

  @Test(arguments: [
    ("true", YAMLScalar.bool(true)), ("FALSE", .bool(false)), ("yes", .string("yes")), ("~", .null), ("", .null),
    ("12", .int(12)), ("-7", .int(-7)), ("+7", .int(7)), ("007", .int(7)), ("0x1F", .int(31)), ("0o17", .int(15)),
    ("1.5", .double(1.5)), ("1.", .double(1)), (".5", .double(0.5)), ("1e3", .double(1000)), ("1.e3", .double(1000)),
    ("-.inf", .double(-.infinity)), ("1.2.0", .string("1.2.0")), ("-", .string("-")), (".", .string(".")),
    ("1e", .string("1e")), ("0x", .string("0x")), ("nan", .string("nan")), ("infinity", .string("infinity")),
    ("99999999999999999999", .double(1e20)), ("1_000", .string("1_000")), ("0x1p3", .string("0x1p3")),
  ]) func plainScalarsFollowTheCoreSchema(_ text: String, _ value: YAMLScalar) {
    #expect(YAMLScalar(text: text, isPlain: true) == value)
    #expect(YAMLScalar(text: text, isPlain: false) == .string(text))
  }
}
