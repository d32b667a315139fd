/// Reads typed members of a JSON object, with errors that name the path.
///
/// Absent and `null` are alike. Members that nobody asks for are ignored: that is how versions stay compatible.
public struct FieldReader: Sendable {
  /// The object that is read.
  public let value: JSONValue
  /// Where it stands, for messages: `params.model`, for instance.
  public let path: String

  public init(_ value: JSONValue, path: String = "params") throws(FieldError) {
    guard value.object != nil else { throw FieldError(path: path, expected: "an object", found: value) }
    self.value = value
    self.path = path
  }

  private func name(_ key: String) -> String { "\(path).\(key)" }

  private func read<T>(_ key: String, _ expected: String, _ convert: (JSONValue) -> T?) throws(FieldError) -> T? {
    guard let found = value[key] else { return nil }
    guard let converted = convert(found) else { throw FieldError(path: name(key), expected: expected, found: found) }
    return converted
  }

  private func require<T>(_ key: String, _ expected: String, _ found: T?) throws(FieldError) -> T {
    guard let found else { throw FieldError(path: name(key), expected: expected, found: .null) }
    return found
  }

  /// An optional string.
  public func string(_ key: String) throws(FieldError) -> String? { try read(key, "a string") { $0.string } }
  /// A string that must be there.
  public func requiredString(_ key: String) throws(FieldError) -> String {
    try require(key, "a string", try string(key))
  }
  /// An optional whole number.
  public func int(_ key: String) throws(FieldError) -> Int? {
    try read(key, "a whole number") { $0.int.flatMap { Int(exactly: $0) } }
  }
  /// A whole number that must be there.
  public func requiredInt(_ key: String) throws(FieldError) -> Int {
    try require(key, "a whole number", try int(key))
  }
  /// An optional whole number that is not negative.
  public func count(_ key: String) throws(FieldError) -> UInt64? {
    try read(key, "a whole number, 0 or more") { $0.uint }
  }
  /// An optional number.
  public func double(_ key: String) throws(FieldError) -> Double? { try read(key, "a number") { $0.double } }
  /// An optional boolean.
  public func bool(_ key: String) throws(FieldError) -> Bool? { try read(key, "true or false") { $0.bool } }
  /// An optional object.
  public func object(_ key: String) throws(FieldError) -> JSONValue? {
    // Spelt out: in a conditional expression `nil` would be JSON's null, which is a value.
    try read(key, "an object") { value -> JSONValue? in
      guard value.object != nil else { return Optional.none }
      return value
    }
  }
  /// An optional list of strings.
  public func strings(_ key: String) throws(FieldError) -> [String]? {
    try read(key, "a list of strings") { value in
      guard let elements = value.array else { return nil }
      let strings = elements.compactMap(\.string)
      return strings.count == elements.count ? strings : nil
    }
  }
  /// An optional list of whole numbers.
  public func ints(_ key: String) throws(FieldError) -> [Int]? {
    try read(key, "a list of whole numbers") { value in
      guard let elements = value.array else { return nil }
      let numbers = elements.compactMap { $0.int.flatMap { Int(exactly: $0) } }
      return numbers.count == elements.count ? numbers : nil
    }
  }
  /// A nested object, for reading further.
  public func nested(_ key: String) throws(FieldError) -> FieldReader? {
    guard let found = try object(key) else { return nil }
    return try FieldReader(found, path: name(key))
  }
  /// A nested object that must be there.
  public func requiredNested(_ key: String) throws(FieldError) -> FieldReader {
    try require(key, "an object", try nested(key))
  }
  /// The objects of a list; an absent list is empty.
  public func list(_ key: String) throws(FieldError) -> [FieldReader] {
    guard let found = value[key] else { return [] }
    guard let elements = found.array else { throw FieldError(path: name(key), expected: "a list", found: found) }
    var readers: [FieldReader] = []
    for (index, element) in elements.enumerated() {
      readers.append(try FieldReader(element, path: "\(name(key))[\(index)]"))
    }
    return readers
  }
}

/// A member of a message that is missing or of the wrong type.
public struct FieldError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Where: `params.model.id`, for instance.
  public let path: String
  /// What should stand there.
  public let expected: String
  /// The JSON type that stands there, or nil when nothing does.
  public let found: String?

  init(path: String, expected: String, found: JSONValue) {
    self.path = path
    self.expected = expected
    self.found = found.isNull ? nil : found.typeName
  }

  public var description: String {
    if let found {
      "\(path) must be \(expected), not of type \(found)"
    } else {
      "\(path) is missing: it must be \(expected)"
    }
  }
}
