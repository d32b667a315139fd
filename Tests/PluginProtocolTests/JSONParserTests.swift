import PluginProtocol
import Testing

@Suite("JSON: what is accepted and what is not")
struct JSONParserTests {
  @Test(
    arguments: [
      ("null", .null), (" true ", true), ("\t\r\nfalse\n", false), ("0", 0), ("-0", 0), ("-1", -1),
      ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
      ("9223372036854775808", .uint(1 << 63)), ("18446744073709551615", .uint(.max)),
      ("18446744073709551616", .double(18_446_744_073_709_551_616)),
      ("-9223372036854775809", .double(-9_223_372_036_854_775_808)),
      ("1.5", 1.5), ("-0.0", .double(-0.0)), ("1e2", .double(100)), ("1E+2", .double(100)), ("25e-1", .double(2.5)),
      ("1.0", .double(1)), ("1e-999", .double(0)), ("\"\"", ""), (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{C}\n\r\tz"),
      (#""\u0041\u00e9\u20AC""#, "Aé€"), (#""\ud83d\ude00""#, "😀"), (#""\u0000""#, "\u{0}"),
      ("\"\u{2028}\u{85}\u{7F}\"", "\u{2028}\u{85}\u{7F}"), ("[]", []), ("[ ]", []), ("{}", [:]), ("{ }", [:]),
      ("[1, [2, {\"a\": [3]}]]", [1, [2, ["a": [3]]]]), (#"{"a":1,"A":2,"":3}"#, ["a": 1, "A": 2, "": 3]),
      (#"{"a":{"a":{"a":1}}}"#, ["a": ["a": ["a": 1]]]),
    ] as [(String, JSONValue)])
  func accepts(_ text: String, _ value: JSONValue) throws {
    #expect(try JSONValue(parsing: text) == value)
  }

  @Test(
    arguments: [
      ("", .unexpectedEnd), ("  ", .unexpectedEnd), ("tru", .unexpectedEnd), ("truE", .unexpectedByte(0x45)),
      ("nan", .unexpectedByte(0x61)), ("NaN", .unexpectedByte(0x4E)), ("Infinity", .unexpectedByte(0x49)),
      ("'a'", .unexpectedByte(0x27)), ("+1", .unexpectedByte(0x2B)), (".5", .unexpectedByte(0x2E)),
      ("01", .invalidNumber), ("-01", .invalidNumber), ("-", .unexpectedEnd), ("-a", .invalidNumber),
      ("1.", .unexpectedEnd), ("1.e5", .invalidNumber), ("1e", .unexpectedEnd), ("1e+", .unexpectedEnd),
      ("1e999", .invalidNumber), ("-1e999", .invalidNumber), ("0x10", .trailingBytes), ("1 2", .trailingBytes),
      ("{} {}", .trailingBytes), ("[1,]", .unexpectedByte(0x5D)), ("[,1]", .unexpectedByte(0x2C)),
      ("[1", .unexpectedEnd), ("[1 2]", .unexpectedByte(0x32)), ("{", .unexpectedEnd), ("{\"a\"", .unexpectedEnd),
      ("{\"a\":", .unexpectedEnd), ("{\"a\":1", .unexpectedEnd), ("{\"a\":1,}", .unexpectedByte(0x7D)),
      ("{a:1}", .unexpectedByte(0x61)), ("{1:1}", .unexpectedByte(0x31)), ("{\"a\" 1}", .unexpectedByte(0x31)),
      ("\"a", .unexpectedEnd), ("\"a\\", .unexpectedEnd), ("\"\\x\"", .invalidEscape), ("\"\\u12\"  ", .invalidEscape),
      ("\"\\u12g4\"", .invalidEscape), ("\"\\u1", .unexpectedEnd), ("\"\n\"", .controlCharacter),
      ("\"\u{0}\"", .controlCharacter), ("\u{0}", .unexpectedByte(0)), ("\"\\ud800\"", .invalidEscape),
      ("\"\\ude00\"", .invalidEscape), ("\"\\ud83d\\u0041\"", .invalidEscape), ("\"\\ud83dx\"", .invalidEscape),
      ("{\"a\":1,\"a\":2}", .duplicateKey("a")), ("[{\"b\":{\"a\":1,\"\\u0061\":1}}]", .duplicateKey("a")),
      ("\u{FEFF}{}", .unexpectedByte(0xEF)), ("// c\n1", .unexpectedByte(0x2F)),
    ] as [(String, JSONParseError.Reason)])
  func refuses(_ text: String, _ reason: JSONParseError.Reason) {
    #expect { try JSONValue(parsing: text) } throws: { ($0 as? JSONParseError)?.reason == reason }
  }

  @Test(
    "bad UTF-8 is refused in strings, keys and beside escapes",
    arguments: [
      [0xFF], [0xC0, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80], [0xF0, 0x9F, 0x98],
    ] as [[UInt8]])
  func badUTF8(_ bytes: [UInt8]) {
    let quote = UInt8(ascii: "\"")
    let texts: [[UInt8]] = [
      [quote] + bytes + [quote], [quote] + Array(#"\n"#.utf8) + bytes + [quote],
      Array("{\"".utf8) + bytes + Array("\":1}".utf8),
    ]
    for text in texts {
      #expect { try JSONValue(parsing: text) } throws: { ($0 as? JSONParseError)?.reason == .invalidUTF8 }
    }
  }

  @Test("an error names the byte at which it became clear")
  func offset() {
    #expect { try JSONValue(parsing: "{\"a\":\n  tru}") } throws: {
      ($0 as? JSONParseError)?.description == "unexpected '}' at byte 11"
    }
  }

  @Test("sequences that are not stored in one piece are parsed too")
  func lazySequence() throws {
    #expect(try JSONValue(parsing: AnySequence("[1,2]".utf8)) == [1, 2])
  }

  // MARK: Hostile texts

  private static func refusal(of text: [UInt8]) -> (JSONParseError.Reason?, Duration) {
    let clock = ContinuousClock()
    var reason: JSONParseError.Reason?
    let time = clock.measure {
      do throws(JSONParseError) { _ = try JSONValue(parsing: text) } catch { reason = error.reason }
    }
    return (reason, time)
  }

  @Test("a million levels are refused at once, without a million stack frames", arguments: ["[", "{\"a\":"])
  func deep(_ opening: String) {
    let text = Array(repeatElement(Array(opening.utf8), count: 1_000_000).joined())
    let (reason, time) = Self.refusal(of: text)
    #expect(reason == .tooDeep(limit: 64))
    #expect(time < .seconds(1))
  }

  @Test("64 levels are allowed, 65 are not")
  func depthLimit() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try JSONValue(parsing: nested(64))
    #expect { try JSONValue(parsing: nested(65)) } throws: { ($0 as? JSONParseError)?.reason == .tooDeep(limit: 64) }
  }

  @Test("a million members are refused")
  func wide() {
    let text = "{" + (0..<1_000_000).map { "\"\($0)\":0" }.joined(separator: ",") + "}"
    let (reason, time) = Self.refusal(of: Array(text.utf8))
    #expect(reason == .tooManyValues(limit: 200_000))
    #expect(time < .seconds(20))
  }

  @Test("commas in strings are no values, quotes behind backslashes end none")
  func commasInStrings() throws {
    let content = String(repeating: #",\""#, count: 300_000)
    #expect(try JSONValue(parsing: #"["\#(content)\\",1]"#).array?.count == 2)
    let (reason, _) = Self.refusal(of: Array((#"["\\","# + String(repeating: "1,", count: 300_000)).utf8))
    #expect(reason == .tooManyValues(limit: 200_000))
  }

  @Test("a number of ten million digits is refused", arguments: ["1", "0.", "1e"])
  func longNumber(_ start: String) {
    let (reason, time) = Self.refusal(of: Array(start.utf8) + [UInt8](repeating: 0x31, count: 10_000_000))
    #expect(reason == .invalidNumber)
    #expect(time < .seconds(20))
  }

  @Test("a number of 64 characters is the longest")
  func numberLength() throws {
    #expect(try JSONValue(parsing: "1." + String(repeating: "0", count: 62)) == .double(1))
    #expect(throws: JSONParseError.self) { try JSONValue(parsing: "1." + String(repeating: "0", count: 63)) }
  }
}
