import CImageFiles
import CStableDiffusion
import ImageTask
import PluginProtocol

/// A picture from outside, decoded and scaled.
///
/// Its size is judged by the header before anything is decoded, so that memory is bounded whatever the file says.
struct InputPicture {
  let pixels: ImageBuffer
  let width: Int
  let height: Int
  let channels: Int

  struct Size {
    var width: Int
    var height: Int
  }

  /// How a picture is brought to the job's size.
  enum Fit {
    /// Its middle in the job's shape, scaled.
    case cover(Size)
    /// The same, as brightness.
    case mask(Size)
    /// Its own shape with about so many pixels, if it has more.
    case within(pixels: Int)
  }

  /// - Parameter name: the task's member, for messages.
  /// - Throws: `EngineError`.
  init(_ url: String, name: String, fit: Fit) throws {
    let file = try RegularFile(try FileURL.path(url, name: name), name: "The image of \(name)")
    guard file.bytes <= PictureLimits.fileBytes else {
      throw EngineError(
        .badInput,
        "The image of \(name) has \(file.bytes) bytes and may have \(PictureLimits.fileBytes): scale it down")
    }
    let data = try file.read(Int(file.bytes))
    var header = image_file_header()
    try Self.check(image_file_inspect(data, data.count, &header), name)
    let size = Size(width: Int(header.width), height: Int(header.height))
    try PictureLimits.check(reading: name, width: size.width, height: size.height)
    let decoded = try ImageBuffer { try Self.check(image_file_decode(data, data.count, &header, $0), name) }
    switch fit {
    case .cover(let target):
      pixels = try Self.scaled(decoded, size, to: target, name)
      (width, height, channels) = (target.width, target.height, 3)
    case .mask(let target):
      let scaled = try Self.scaled(decoded, size, to: target, name)
      pixels = try withExtendedLifetime(scaled) {
        try ImageBuffer {
          try Self.check(image_file_gray(scaled.pointer, Int32(target.width), Int32(target.height), $0), name)
        }
      }
      (width, height, channels) = (target.width, target.height, 1)
    case .within(let limit):
      let factor = min(1, (Double(limit) / Double(size.width * size.height)).squareRoot())
      let target = Size(
        width: max(1, Int(Double(size.width) * factor)), height: max(1, Int(Double(size.height) * factor)))
      pixels = try Self.scaled(decoded, size, to: target, name)
      (width, height, channels) = (target.width, target.height, 3)
    }
  }

  /// Valid as long as this value.
  var native: ssd_picture {
    ssd_picture(pixels: pixels.pointer, width: Int32(width), height: Int32(height), channels: Int32(channels))
  }

  private static func scaled(
    _ picture: ImageBuffer, _ size: Size, to target: Size, _ name: String
  ) throws -> ImageBuffer {
    try withExtendedLifetime(picture) {
      try ImageBuffer {
        try check(
          image_file_cover(
            picture.pointer, Int32(size.width), Int32(size.height), Int32(target.width), Int32(target.height), $0),
          name)
      }
    }
  }

  private static func check(_ status: image_file_status, _ name: String) throws(EngineError) {
    switch status {
    case IMAGE_FILE_OK: return
    case IMAGE_FILE_NO_MEMORY:
      throw EngineError(.resource, "There is not enough memory for the image of \(name): scale it down.")
    case IMAGE_FILE_UNSUPPORTED:
      throw EngineError(.badInput, "The image of \(name) is none that can be read: use PNG, JPEG or WEBP.")
    default:
      throw EngineError(.badInput, "The image of \(name) is damaged, cut off or animated: use a whole single picture.")
    }
  }
}
