import Foundation
import PluginProtocol
import Testing
import WireTestSupport

/// SplitMix64: small, seeded, the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

extension JSONValue {
  /// A value of any shape, with the numbers and characters that parsers get wrong.
  static func random(_ generator: inout SeededGenerator, depth: Int = 5) -> JSONValue {
    switch Int.random(in: 0..<(depth > 0 ? 9 : 7), using: &generator) {
    case 0: return .null
    case 1: return .bool(.random(using: &generator))
    case 2: return .int(Int64(bitPattern: generator.next()) >> Int64.random(in: 0..<64, using: &generator))
    case 3: return .uint(generator.next() | 1 << 63)
    case 4:
      let value = Double(bitPattern: generator.next())
      return value.isFinite ? .double(value) : .double(0.1)
    case 5, 6: return .string(randomString(&generator))
    case 7:
      return .array((0..<Int.random(in: 0..<5, using: &generator)).map { _ in random(&generator, depth: depth - 1) })
    default:
      var members: [String: JSONValue] = [:]
      for _ in 0..<Int.random(in: 0..<5, using: &generator) {
        members[randomString(&generator)] = random(&generator, depth: depth - 1)
      }
      return .object(members)
    }
  }

  private static func randomString(_ generator: inout SeededGenerator) -> String {
    var scalars = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 0..<12, using: &generator) {
      let range: ClosedRange<UInt32> =
        [0...0x1F, 0x20...0x7E, 0x22...0x5C, 0x7F...0x2FF, 0x2028...0x2029, 0x3000...0xFFFF, 0x10000...0x10FFFF]
        .randomElement(using: &generator) ?? 0...0
      scalars.append(UnicodeScalar(UInt32.random(in: range, using: &generator)) ?? "\u{FFFD}")
    }
    return String(scalars)
  }
}

@Suite("JSON: what is written is read again as it was")
struct JSONRoundTripTests {
  @Test("writer, then parser, is the identity", arguments: [1, 2, 3, 4] as [UInt64])
  func identity(_ seed: UInt64) throws {
    var generator = SeededGenerator(state: seed)
    for round in 0..<1000 {
      let value = JSONValue.random(&generator)
      let bytes = value.bytes
      try #require(!bytes.contains(0x0A) && !bytes.contains(0x0D), "seed \(seed), round \(round): a line break")
      try #require(try JSONValue(parsing: bytes) == value, "seed \(seed), round \(round): \(value.text)")
      try #require(try JSONValue(parsing: value.prettyText) == value, "seed \(seed), round \(round): pretty")
      try #require(value.bytes == bytes)
    }
  }

  @Test("every prefix of a text, and every text with a byte changed, is parsed or refused")
  func damaged() throws {
    var generator = SeededGenerator(state: 99)
    for _ in 0..<150 {
      let bytes = JSONValue.array([.random(&generator), .random(&generator)]).bytes
      for length in 0..<min(bytes.count, 200) {
        #expect(throws: JSONParseError.self) { try JSONValue(parsing: bytes[..<length]) }
        var changed = bytes
        changed[length] = UInt8.random(in: 0...255, using: &generator)
        // Accepted or refused, never a trap; and what is accepted survives being written.
        if let value = try? JSONValue(parsing: changed) { #expect(try JSONValue(parsing: value.bytes) == value) }
      }
    }
  }

  @Test("members are written in one order, absent ones not at all")
  func order() {
    #expect(JSONValue.object(["b": 1, "a": [true, nil], "c": .double(2)]).text == #"{"a":[true,null],"b":1,"c":2.0}"#)
    #expect(JSONValue.compact(["a": nil, "b": [:]]).text == #"{"b":{}}"#)
    #expect(JSONValue.double(.infinity).text == "null")
  }

  @Test(
    "Python reads the same values", .enabled(if: Tool.exists("python3"), "python3 is not installed"))
  func python() async throws {
    var generator = SeededGenerator(state: 7)
    let values = (0..<300).map { _ in JSONValue.random(&generator) }
    let directory = try TemporaryDirectory()
    let input = "\(directory.path)/values"
    try Data(values.map { $0.bytes + [0x0A] }.joined()).write(to: URL(filePath: input))
    let script = """
      import json, sys
      for line in open(sys.argv[1], encoding="utf-8", newline="\\n"):
        print(json.dumps(json.loads(line)))
      """
    let output = try await Tool.run(["python3", "-c", script, input])
    #expect(output.exit == .status(0), "\(output.stderr)")
    let lines = output.stdout.utf8.split(separator: 0x0A)
    try #require(lines.count == values.count)
    for (line, value) in zip(lines, values) { #expect(try JSONValue(parsing: line) == value) }
  }
}
