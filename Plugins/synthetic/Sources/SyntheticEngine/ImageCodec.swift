import CImageCodecs
import PluginProtocol

/// The image formats that are written here, lossless.
enum ImageCodec {
  /// A square picture as WEBP.
  static func webp(_ rgb: [UInt8], size: Int) throws -> [UInt8] {
    try take("a WEBP") { image_codec_webp(rgb, CInt(size), CInt(size), &$0) }
  }

  /// A square picture as PNG.
  static func png(_ rgb: [UInt8], size: Int) throws -> [UInt8] {
    try take("a PNG") { image_codec_png(rgb, CInt(size), CInt(size), &$0) }
  }

  /// An animated WEBP of square pictures, each shown for `frameMilliseconds`. `frame` is asked for one at a time.
  static func animation(
    size: Int, frames: Int, frameMilliseconds: Int, frame: (Int) throws -> [UInt8]
  ) throws -> [UInt8] {
    guard let animation = image_codec_animation_begin(CInt(size), CInt(size)) else {
      throw EngineError(.resource, "no memory to encode an animation: run fewer jobs at a time")
    }
    defer { image_codec_animation_free(animation) }
    for index in 0..<frames {
      try check(
        image_codec_animation_add(animation, try frame(index), CInt(index * frameMilliseconds)), "an animation")
    }
    return try take("an animation") {
      image_codec_animation_finish(animation, CInt(frames * frameMilliseconds), &$0)
    }
  }

  private static func take(
    _ what: String, _ encode: (inout image_codec_bytes) -> image_codec_status
  ) throws -> [UInt8] {
    var bytes = image_codec_bytes()
    defer { image_codec_bytes_free(&bytes) }
    try check(encode(&bytes), what)
    return [UInt8](UnsafeBufferPointer(start: bytes.data, count: bytes.size))
  }

  private static func check(_ status: image_codec_status, _ what: String) throws {
    switch status {
    case IMAGE_CODEC_OK: return
    case IMAGE_CODEC_NO_MEMORY:
      throw EngineError(.resource, "no memory to encode \(what): run fewer jobs at a time")
    default: throw EngineError(.engineFault, "\(what) could not be encoded: see the engine's log")
    }
  }
}
