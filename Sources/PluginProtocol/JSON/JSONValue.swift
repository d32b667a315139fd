/// A JSON value (RFC 8259) as the wire carries it.
///
/// Integers keep their exact value: anything that fits `Int64` is `.int`, larger unsigned values up to
/// `UInt64.max` (image seeds, for instance) are `.uint`, everything else is `.double`.
public enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case int(Int64)
  /// Only for values above `Int64.max`.
  case uint(UInt64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])
}

extension JSONValue {
  /// The string, or nil when this is not a string.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The boolean, or nil when this is not a boolean.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The elements, or nil when this is not an array.
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  /// The members, or nil when this is not an object.
  public var object: [String: JSONValue]? { if case .object(let value) = self { value } else { nil } }
  /// True for `null` only.
  public var isNull: Bool { self == .null }

  /// The value as a signed integer; a double counts when it is whole and fits.
  public var int: Int64? {
    switch self {
    case .int(let value): value
    case .double(let value): Int64(exactly: value)
    default: nil
    }
  }

  /// The value as an unsigned integer; a double counts when it is whole and fits.
  public var uint: UInt64? {
    switch self {
    case .int(let value): UInt64(exactly: value)
    case .uint(let value): value
    case .double(let value): UInt64(exactly: value)
    default: nil
    }
  }

  /// The value as a double, for any number.
  public var double: Double? {
    switch self {
    case .int(let value): Double(value)
    case .uint(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The member of that name, or nil when this is not an object, the member is absent, or it is `null`.
  ///
  /// The wire treats an absent optional member and a `null` one alike.
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self, let value = members[key], value != .null else { return nil }
    return value
  }

  /// The JSON name of this value's type, for messages: `string`, `number`, `object` …
  public var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "boolean"
    case .int, .uint, .double: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(nilLiteral: ()) { self = .null }
  /// A literal object; of two members with one name the last counts.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
  }

  /// An integer, or `null` for nil.
  public init(_ value: (some BinaryInteger)?) {
    guard let value else { self = .null; return }
    if let small = Int64(exactly: value) {
      self = .int(small)
    } else if let large = UInt64(exactly: value) {
      self = .uint(large)
    } else {
      self = .double(Double(value))
    }
  }
  /// A string, or `null` for nil.
  public init(_ value: String?) { self = value.map(JSONValue.string) ?? .null }
  /// A number, or `null` for nil; JSON has no infinities, so those become `null` too.
  public init(_ value: Double?) {
    self = value.flatMap { $0.isFinite ? .double($0) : nil } ?? .null
  }
  /// A boolean, or `null` for nil.
  public init(_ value: Bool?) { self = value.map(JSONValue.bool) ?? .null }
  /// An array of strings.
  public init(_ values: [String]) { self = .array(values.map(JSONValue.string)) }

  /// An object without the members whose value is `null`: how optional fields are left out on the wire.
  public static func compact(_ members: [String: JSONValue]) -> JSONValue {
    .object(members.filter { $0.value != .null })
  }
}
