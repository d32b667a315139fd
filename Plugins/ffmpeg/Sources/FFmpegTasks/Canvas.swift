import PluginProtocol

/// Width and height in pixels.
package struct PixelSize: Equatable, Sendable, CustomStringConvertible {
  package var width: Int
  package var height: Int

  package init(_ width: Int, _ height: Int) {
    self.width = width
    self.height = height
  }

  package var pixels: Int { width * height }
  package var description: String { "\(width)×\(height)" }
  /// As ffmpeg reads it.
  var argument: String { "\(width)x\(height)" }

  /// The size that is encoded: the common pixel formats halve the colour, so sides are even, and rounded down to
  /// stay in bounds.
  var even: PixelSize { PixelSize(width & ~1, height & ~1) }
}

/// Size, rate and length of a picture that is made here.
package struct Canvas: Equatable, Sendable {
  /// Even sides.
  package var size: PixelSize
  package var rate: FrameRate
  package var frames: Int
  package var format: VideoFormat

  package var seconds: Double { rate.seconds(frames) }

  static let sides = 16...8192
  static let standardFps = 24.0

  /// Reads `width`, `height` (512), `fps` (24), `seconds` and `ext`.
  ///
  /// - Parameter standardSeconds: the length when the task names none.
  package init(_ fields: FieldReader, _ settings: Settings, standardSeconds: Double = 2) throws {
    format = try VideoFormat(fields)
    size = PixelSize(try Self.side(fields, "width") ?? 512, try Self.side(fields, "height") ?? 512).even
    try Self.check(size, fields, settings)
    rate = FrameRate(try Self.fps(fields, settings, format) ?? Self.standardFps)
    let seconds = try Self.seconds(fields, most: settings.maxSeconds) ?? standardSeconds
    guard seconds <= Double(settings.maxSeconds) else {
      throw EngineError(.badInput, "\(fields.path).seconds must be at most \(settings.maxSeconds)")
    }
    frames = rate.frames(seconds)
  }

  static func side(_ fields: FieldReader, _ key: String) throws -> Int? {
    guard let value = try fields.int(key) else { return nil }
    guard sides.contains(value) else {
      throw EngineError(
        .badInput, "\(fields.path).\(key) must be from \(sides.lowerBound) to \(sides.upperBound) pixels, not \(value)")
    }
    return value
  }

  static func check(_ size: PixelSize, _ fields: FieldReader, _ settings: Settings) throws {
    guard size.pixels <= settings.maxPixels else {
      throw EngineError(
        .badInput,
        "\(fields.path): \(size) pixels are too many; width times height must be at most \(settings.maxPixels)")
    }
  }

  static func fps(_ fields: FieldReader, _ settings: Settings, _ format: VideoFormat) throws -> Double? {
    guard let value = try fields.double("fps") else { return nil }
    let most = min(settings.maxFps, format.maximumFps)
    guard value >= 1, value <= Double(most) else {
      throw EngineError(.badInput, "\(fields.path).fps must be from 1 to \(most) for \(format)")
    }
    return value
  }

  static func seconds(_ fields: FieldReader, most: Int) throws -> Double? {
    guard let value = try fields.double("seconds") else { return nil }
    guard value > 0, value <= Double(most) else {
      throw EngineError(.badInput, "\(fields.path).seconds must be above 0 and at most \(most)")
    }
    return value
  }
}
