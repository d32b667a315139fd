import PluginProtocol

/// An opaque colour, `#rrggbb`.
struct PictureColor: Equatable, Sendable {
  let value: UInt32

  /// Reads a member; nil when it is absent.
  static func read(_ fields: FieldReader, _ key: String) throws -> PictureColor? {
    guard let text = try fields.string(key) else { return nil }
    guard text.utf8.count == 7, text.hasPrefix("#"), text.dropFirst().allSatisfy(\.isHexDigit),
      let value = UInt32(text.dropFirst(), radix: 16)
    else { throw EngineError(.badInput, "\(fields.path).\(key) must be a colour such as #1a2b3c") }
    return PictureColor(value: value)
  }

  /// As ffmpeg reads it.
  var argument: String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 6 - digits.count) + digits
  }
}
