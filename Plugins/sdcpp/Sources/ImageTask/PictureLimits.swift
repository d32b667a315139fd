public import PluginProtocol

/// The largest pictures that are drawn or read here, and the memory they take.
public enum PictureLimits {
  /// Pixels of a picture that is drawn: 4096 × 4096.
  static let drawnPixels = 16 << 20
  static let frames = 257
  /// Pixels of all frames of a video: 161 frames of 1280 × 720.
  static let videoPixels = 161 * 1280 * 720
  /// A picture from outside: most pixels, and the longest side, which is the longest that WEBP has.
  public static let read = (pixels: 50_000_000, side: 16_383)
  /// Most bytes of a picture file from outside.
  public static let fileBytes: UInt64 = 64 << 20

  /// Refuses a size that no model here can draw, before anything is allocated for it.
  static func check(width: Int, height: Int, frames: Int) throws(EngineError) {
    let pixels = width * height
    guard pixels <= drawnPixels else {
      throw EngineError(
        .badInput,
        "\(width) × \(height) is too large: at most \(drawnPixels) pixels are drawn, 4096 × 4096 for instance")
    }
    guard frames == 1 || pixels * frames <= videoPixels else {
      throw EngineError(
        .badInput,
        "\(frames) frames of \(width) × \(height) are too many: at most \(videoPixels) pixels are drawn in a video, "
          + "161 frames of 1280 × 720 for instance")
    }
  }

  /// What drawing a picture takes besides the model, in bytes: mostly the autoencoder, which works on all pixels at
  /// once.
  ///
  /// Measured with the autoencoder of Stable Diffusion: its layers take so many bytes a pixel, its attention compares
  /// every 8 × 8 block with every other. Others take less.
  public static func drawingBytes(width: Int, height: Int, frames: Int) -> UInt64 {
    let pixels = UInt64(width) * UInt64(height)
    let blocks = pixels / 64
    let layers = pixels * 2816
    let attention = blocks * blocks * 4
    // A video's autoencoder works frame by frame; all frames are kept as they are decoded, and again as bytes.
    return layers + attention + pixels * UInt64(frames - 1) * 15
  }

  /// Refuses a drawing that the memory would not suffice for. Nothing else would: the system grants more than it has.
  ///
  /// - Parameter available: bytes that can be taken, nil when nobody knows.
  public static func check(drawing task: ImageTask, available: UInt64?) throws(EngineError) {
    let needed = drawingBytes(width: task.width, height: task.height, frames: task.video?.frames ?? 1)
    guard let available, needed > available else { return }
    throw EngineError(
      .resource,
      "Drawing \(task.width) × \(task.height) takes about \(needed >> 20) MiB and \(available >> 20) MiB are free: ask "
        + "for a smaller size, or free memory.")
  }

  /// Refuses a picture from outside by its header.
  public static func check(reading name: String, width: Int, height: Int) throws(EngineError) {
    guard width <= read.side, height <= read.side, width * height <= read.pixels else {
      throw EngineError(
        .badInput,
        "The image of \(name) has \(width) × \(height) pixels, and at most \(read.pixels) with sides of at most "
          + "\(read.side) are read: scale it down")
    }
  }

  /// `side` rounded up to a multiple, as the library does.
  public static func aligned(_ side: Int, to multiple: Int) -> Int { (side + multiple - 1) / multiple * multiple }

  /// What the sides of a picture must be multiples of, by the library's name for the kind of model.
  public static func multiple(architecture: String) -> Int {
    // U-Nets halve the latents three times, each of which stands for eight pixels.
    for name in ["SD 1", "SD 2", "SDXL", "SDXS", "SVD"] where architecture.hasPrefix(name) { return 64 }
    if architecture.hasPrefix("Wan") { return architecture.contains("TI2V") ? 32 : 16 }
    return architecture.hasPrefix("Flux.2") ? 16 : 8
  }

  /// Whether the kind of model looks at a reference image.
  public static func readsReference(architecture: String) -> Bool {
    if architecture.contains("Pix2Pix") { return true }
    return !["SD 1", "SD 2", "SDXL", "SDXS", "SVD", "SD3", "Wan"].contains { architecture.hasPrefix($0) }
  }
}
