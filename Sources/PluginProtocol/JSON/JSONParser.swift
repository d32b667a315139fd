import Glibc

/// Why bytes are not acceptable JSON, with the byte offset at which that became clear.
public struct JSONParseError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public enum Reason: Equatable, Sendable {
    case unexpectedEnd
    case unexpectedByte(UInt8)
    case invalidUTF8
    case invalidEscape
    case invalidNumber
    case controlCharacter
    case tooDeep(limit: Int)
    case tooManyValues(limit: Int)
    case duplicateKey(String)
    case trailingBytes
  }
  public let reason: Reason
  /// Offset in bytes from the start of the text.
  public let offset: Int

  public var description: String {
    let what =
      switch reason {
      case .unexpectedEnd: "the text ends early"
      case .unexpectedByte(let byte):
        byte >= 0x20 && byte < 0x7F
          ? "unexpected '\(Character(UnicodeScalar(byte)))'" : "unexpected byte 0x\(String(byte, radix: 16))"
      case .invalidUTF8: "invalid UTF-8"
      case .invalidEscape: "invalid escape"
      case .invalidNumber: "invalid number"
      case .controlCharacter: "control character in a string"
      case .tooDeep(let limit): "nested deeper than \(limit)"
      case .tooManyValues(let limit): "more than \(limit) values"
      case .duplicateKey(let key): "duplicate key \"\(key.prefix(64))\""
      case .trailingBytes: "bytes after the value"
      }
    return "\(what) at byte \(offset)"
  }
}

/// Limits a parser enforces, so that a hostile text costs no more than its own length.
public struct JSONLimits: Sendable {
  /// Greatest nesting of arrays and objects.
  public var depth: Int
  /// Greatest number of values in one text, keys not counted.
  public var values: Int

  public init(depth: Int = 64, values: Int = 200_000) {
    self.depth = depth
    self.values = values
  }
}

extension JSONValue {
  /// Parses exactly one JSON text.
  ///
  /// Stricter than most parsers on purpose: invalid UTF-8, a duplicate key in any object, lone surrogates and
  /// numbers longer than 64 digits are errors, because two readers that disagree about a message are a hole.
  public init(parsing bytes: some Sequence<UInt8>, limits: JSONLimits = JSONLimits()) throws(JSONParseError) {
    let fast = bytes.withContiguousStorageIfAvailable { buffer in
      Result<JSONValue, JSONParseError> { () throws(JSONParseError) in
        try JSONValue.parse(UnsafeRawBufferPointer(buffer), limits: limits)
      }
    }
    if let fast {
      self = try fast.get()
      return
    }
    let copy = Array(bytes)
    let slow = copy.withUnsafeBytes { buffer in
      Result<JSONValue, JSONParseError> { () throws(JSONParseError) in try JSONValue.parse(buffer, limits: limits) }
    }
    self = try slow.get()
  }

  /// Parses exactly one JSON text.
  public init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(JSONParseError) {
    try self.init(parsing: Array(text.utf8), limits: limits)
  }

  private static func parse(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits) throws(JSONParseError) -> JSONValue {
    var parser = Parser(bytes: bytes, limits: limits)
    try parser.refuseTooManyValues()
    parser.skipSpace()
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.at == bytes.count else { throw parser.error(.trailingBytes) }
    return value
  }
}

private struct Parser {
  let bytes: UnsafeRawBufferPointer
  let limits: JSONLimits
  var at = 0
  var count = 0

  init(bytes: UnsafeRawBufferPointer, limits: JSONLimits) {
    self.bytes = bytes
    self.limits = limits
  }

  func error(_ reason: JSONParseError.Reason) -> JSONParseError { JSONParseError(reason: reason, offset: at) }

  var unexpected: JSONParseError { at < bytes.count ? error(.unexpectedByte(bytes[at])) : error(.unexpectedEnd) }

  /// Counts commas outside strings: there are more values than that. A text with far too many is refused before anything
  /// is made of those that are allowed.
  mutating func refuseTooManyValues() throws(JSONParseError) {
    guard bytes.count / 2 > limits.values, let base = bytes.baseAddress else { return }
    var commas = 0
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: ",") {
        commas += 1
        if commas >= limits.values {
          at = index
          throw error(.tooManyValues(limit: limits.values))
        }
      } else if bytes[index] == UInt8(ascii: "\"") {
        var escapes = 1
        while escapes % 2 == 1 {
          guard let quote = memchr(base + index + 1, 0x22, bytes.count - index - 1) else { return }
          let start = index
          index = UnsafeRawPointer(quote) - base
          escapes = 0
          while index - escapes - 1 > start, bytes[index - escapes - 1] == UInt8(ascii: "\\") { escapes += 1 }
        }
      }
      index += 1
    }
  }

  mutating func skipSpace() {
    while at < bytes.count, case let byte = bytes[at], byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      at += 1
    }
  }

  mutating func value(depth: Int) throws(JSONParseError) -> JSONValue {
    guard at < bytes.count else { throw error(.unexpectedEnd) }
    count += 1
    guard count <= limits.values else { throw error(.tooManyValues(limit: limits.values)) }
    switch bytes[at] {
    case UInt8(ascii: "{"): return try object(depth: depth + 1)
    case UInt8(ascii: "["): return try array(depth: depth + 1)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw unexpected
    }
  }

  mutating func literal(_ text: StaticString, _ value: JSONValue) throws(JSONParseError) -> JSONValue {
    for index in 0..<text.utf8CodeUnitCount {
      guard at < bytes.count, bytes[at] == text.utf8Start[index] else { throw unexpected }
      at += 1
    }
    return value
  }

  mutating func array(depth: Int) throws(JSONParseError) -> JSONValue {
    guard depth <= limits.depth else { throw error(.tooDeep(limit: limits.depth)) }
    at += 1
    var elements: [JSONValue] = []
    skipSpace()
    if at < bytes.count, bytes[at] == UInt8(ascii: "]") {
      at += 1
      return .array([])
    }
    while true {
      skipSpace()
      elements.append(try value(depth: depth))
      skipSpace()
      guard at < bytes.count else { throw error(.unexpectedEnd) }
      if bytes[at] == UInt8(ascii: ",") {
        at += 1
      } else if bytes[at] == UInt8(ascii: "]") {
        at += 1
        return .array(elements)
      } else {
        throw unexpected
      }
    }
  }

  mutating func object(depth: Int) throws(JSONParseError) -> JSONValue {
    guard depth <= limits.depth else { throw error(.tooDeep(limit: limits.depth)) }
    at += 1
    var members: [String: JSONValue] = [:]
    skipSpace()
    if at < bytes.count, bytes[at] == UInt8(ascii: "}") {
      at += 1
      return .object([:])
    }
    while true {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw unexpected }
      let start = at
      let key = try string()
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { throw unexpected }
      at += 1
      skipSpace()
      let value = try value(depth: depth)
      if members.updateValue(value, forKey: key) != nil {
        throw JSONParseError(reason: .duplicateKey(key), offset: start)
      }
      skipSpace()
      guard at < bytes.count else { throw error(.unexpectedEnd) }
      if bytes[at] == UInt8(ascii: ",") {
        at += 1
      } else if bytes[at] == UInt8(ascii: "}") {
        at += 1
        return .object(members)
      } else {
        throw unexpected
      }
    }
  }

  /// Reads a string whose opening quote is the current byte.
  mutating func string() throws(JSONParseError) -> String {
    at += 1
    let start = at
    while at < bytes.count {
      switch bytes[at] {
      case UInt8(ascii: "\""):
        let text = try utf8(start..<at)
        at += 1
        return text
      case UInt8(ascii: "\\"):
        return try escapedString(from: start)
      case 0..<0x20:
        throw error(.controlCharacter)
      default:
        at += 1
      }
    }
    throw error(.unexpectedEnd)
  }

  private func utf8(_ range: Range<Int>) throws(JSONParseError) -> String {
    guard let text = String(validating: bytes[range], as: UTF8.self) else {
      throw JSONParseError(reason: .invalidUTF8, offset: range.lowerBound)
    }
    return text
  }

  private mutating func escapedString(from start: Int) throws(JSONParseError) -> String {
    var out: [UInt8] = Array(bytes[start..<at])
    while at < bytes.count {
      let byte = bytes[at]
      if byte == UInt8(ascii: "\"") {
        at += 1
        guard let text = String(validating: out, as: UTF8.self) else {
          throw JSONParseError(reason: .invalidUTF8, offset: start)
        }
        return text
      }
      if byte < 0x20 { throw error(.controlCharacter) }
      at += 1
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        continue
      }
      guard at < bytes.count else { throw error(.unexpectedEnd) }
      let escape = bytes[at]
      at += 1
      switch escape {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(escape)
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "u"):
        let scalar = try unicodeEscape()
        out.append(contentsOf: Array(String(Character(scalar)).utf8))
      default: throw error(.invalidEscape)
      }
    }
    throw error(.unexpectedEnd)
  }

  /// Reads four hex digits, and the low surrogate that must follow a high one.
  private mutating func unicodeEscape() throws(JSONParseError) -> UnicodeScalar {
    let first = try hex4()
    var code = UInt32(first)
    if (0xD800...0xDBFF).contains(first) {
      guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
        throw error(.invalidEscape)
      }
      at += 2
      let second = try hex4()
      guard (0xDC00...0xDFFF).contains(second) else { throw error(.invalidEscape) }
      code = 0x10000 + (UInt32(first - 0xD800) << 10) + UInt32(second - 0xDC00)
    }
    guard let scalar = UnicodeScalar(code) else { throw error(.invalidEscape) }
    return scalar
  }

  private mutating func hex4() throws(JSONParseError) -> UInt16 {
    guard at + 4 <= bytes.count else { throw error(.unexpectedEnd) }
    var value: UInt16 = 0
    for _ in 0..<4 {
      let byte = bytes[at]
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw error(.invalidEscape)
      }
      value = value << 4 | UInt16(digit)
      at += 1
    }
    return value
  }

  mutating func number() throws(JSONParseError) -> JSONValue {
    let start = at
    let negative = bytes[at] == UInt8(ascii: "-")
    if negative { at += 1 }
    let whole = at
    try digits()
    if bytes[whole] == UInt8(ascii: "0"), at - whole > 1 { throw error(.invalidNumber) }
    var isInteger = true
    if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      try digits()
    }
    if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      at += 1
      if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    guard at - start <= 64 else { throw error(.invalidNumber) }
    if isInteger, at - whole <= 19 {
      var magnitude: UInt64 = 0
      for index in whole..<at { magnitude = magnitude &* 10 &+ UInt64(bytes[index] - UInt8(ascii: "0")) }
      if negative {
        if magnitude <= UInt64(Int64.max) { return .int(-Int64(magnitude)) }
        if magnitude == UInt64(Int64.max) + 1 { return .int(.min) }
      } else {
        return magnitude <= UInt64(Int64.max) ? .int(Int64(magnitude)) : .uint(magnitude)
      }
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, !negative, let large = UInt64(text) { return .uint(large) }
    guard let value = Double(text), value.isFinite else { throw error(.invalidNumber) }
    return .double(value)
  }

  private mutating func digits() throws(JSONParseError) {
    let start = at
    while at < bytes.count, bytes[at] >= UInt8(ascii: "0"), bytes[at] <= UInt8(ascii: "9") { at += 1 }
    guard at > start else { throw at < bytes.count ? error(.invalidNumber) : error(.unexpectedEnd) }
  }
}
