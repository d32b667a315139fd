import PluginProtocol

/// A range that a number from outside must be in.
struct Bounds<Value: Comparable & Sendable>: Sendable {
  let range: ClosedRange<Value>

  func check(_ value: Value, _ fields: FieldReader, _ key: String) throws(EngineError) -> Value {
    guard range.contains(value) else {
      throw EngineError(
        .badInput, "\(fields.path).\(key) must be \(range.lowerBound) to \(range.upperBound), not \(value)")
    }
    return value
  }
}

extension Bounds<Int> {
  /// Of a side in pixels; 0 says that none was chosen.
  static let side = Bounds(range: 0...8192)
  /// More than any sampler profits from.
  static let steps = Bounds(range: 0...1000)

  func optional(_ fields: FieldReader, _ key: String) throws -> Int? {
    try fields.int(key).map { value in try check(value, fields, key) }
  }
}

extension Bounds<Double> {
  static let scale = Bounds(range: 0...1000)
  static let strength = Bounds(range: 0...1)
  static let framesPerSecond = Bounds(range: 0...120)
  static let seconds = Bounds(range: 0...60)
  static let loraWeight = Bounds(range: -10...10)
  static let gibibytes = Bounds(range: 0...4096)

  func optional(_ fields: FieldReader, _ key: String) throws -> Double? {
    try fields.double(key).map { value in try check(value, fields, key) }
  }
}

/// The names of samplers.
enum SamplerName {
  /// The sampler that a member names, as the library spells it.
  static func read(_ fields: FieldReader, _ key: String, known: [String]) throws -> String? {
    guard let given = try fields.string(key), !given.isEmpty else { return nil }
    guard let name = known.first(where: { $0.lowercased() == given.lowercased() }) else {
      throw EngineError(
        .badInput,
        "\(fields.path).\(key) must be one of \(known.joined(separator: ", ")), not \(given.prefix(64))")
    }
    return name
  }
}
