public import PluginProtocol

/// A job's task of kind `image` or `video`, checked, with the model's defaults where it chose nothing.
public struct ImageTask: Equatable, Sendable {
  public var prompt: String
  public var negativePrompt: String
  /// As asked for; a multiple of what the model needs comes later.
  public var width: Int
  public var height: Int
  public var steps: Int
  public var cfgScale: Double
  /// Nil for the model's own.
  public var sampler: String?
  /// 0 for the model's own.
  public var flowShift: Double
  /// Not negative as the library's own type; drawn when the task has none.
  public var seed: Int64
  /// How much of an initial image is drawn anew, 0 to 1. Without one it means nothing.
  public var strength: Double
  public var source: Source
  /// LoRA files and their weights, by the name without the ending.
  public var loras: [String: Double]
  public var format: PictureFormat
  /// Nil for a single image.
  public var video: VideoLength?

  /// Pictures to start from, as URLs.
  public enum Source: Equatable, Sendable {
    case nothing
    case initial(url: String, maskURL: String?)
    case reference(url: String, maskURL: String?)
  }

  /// What is not chosen anywhere.
  public static let defaults = (side: 1024, steps: 8, cfgScale: 1.0, strength: 0.75)
  /// Coordinators write this value for "not chosen".
  static let unchosenSteps = 20
  /// Most bytes of a prompt: some four thousand words, of which text encoders look at a few hundred.
  public static let promptBytes = 16 << 10

  /// Reads a task.
  ///
  /// - Parameters:
  ///   - isVideo: whether the job is of kind `video`.
  ///   - defaults: the model's.
  ///   - loras: the names of the model's LoRA files.
  ///   - samplers: the names that the library knows.
  ///   - randomSeed: for a task without a seed.
  /// - Throws: `EngineError` of class `bad_input`, or `FieldError`.
  public init(
    _ fields: FieldReader, isVideo: Bool, defaults: ModelDefaults, loras: [String], samplers: [String],
    randomSeed: () -> UInt32
  ) throws {
    let found = try LoraPrompt(
      try Self.text(fields, "prompt") ?? fields.requiredString("prompt"), known: loras,
      defaultWeight: defaults.loraWeight)
    prompt = found.text
    self.loras = found.weights
    negativePrompt = try Self.text(fields, "negativePrompt") ?? ""
    width = Self.chosen(try Bounds.side.optional(fields, "width"), defaults.width) ?? Self.defaults.side
    height = Self.chosen(try Bounds.side.optional(fields, "height"), defaults.height) ?? Self.defaults.side
    let steps = try Bounds.steps.optional(fields, "steps")
    self.steps =
      Self.chosen(steps == Self.unchosenSteps ? nil : steps, defaults.steps) ?? Self.defaults.steps
    cfgScale = try Self.cfgScale(fields, defaults)
    sampler = try SamplerName.read(fields, "samplingMethod", known: samplers) ?? defaults.sampler
    flowShift = defaults.flowShift
    seed = Int64(truncatingIfNeeded: try fields.count("seed") ?? UInt64(randomSeed())) & .max
    strength = try Bounds.strength.optional(fields, "denoise") ?? Self.defaults.strength
    source = try Self.source(fields)
    format = PictureFormat(named: try fields.string("ext"), isVideo: isVideo)
    video = isVideo ? try VideoLength(fields, defaultRate: defaults.fps) : nil
    try PictureLimits.check(width: width, height: height, frames: video?.frames ?? 1)
  }

  /// The first that is chosen: a number above 0.
  private static func chosen(_ candidates: Int?...) -> Int? { candidates.lazy.compactMap { $0 }.first { $0 > 0 } }

  private static func cfgScale(_ fields: FieldReader, _ defaults: ModelDefaults) throws -> Double {
    if let own = try fields.double("cfgScale"), own > 0 { return try Bounds.scale.check(own, fields, "cfgScale") }
    return defaults.cfgScale > 0 ? defaults.cfgScale : Self.defaults.cfgScale
  }

  private static func text(_ fields: FieldReader, _ key: String) throws -> String? {
    guard let text = try fields.string(key) else { return nil }
    guard text.utf8.count <= promptBytes else {
      throw EngineError(
        .badInput,
        "\(fields.path).\(key) has \(text.utf8.count) bytes and may have \(promptBytes): describe the picture in fewer "
          + "words")
    }
    guard !text.utf8.contains(0) else {
      throw EngineError(.badInput, "\(fields.path).\(key) contains a NUL character: remove it")
    }
    return text
  }

  /// A reference goes before an initial image; a mask needs one of them.
  private static func source(_ fields: FieldReader) throws -> Source {
    let mask = try fields.string("maskUrl")
    if let reference = try fields.string("refImageUrl") { return .reference(url: reference, maskURL: mask) }
    if let initial = try fields.string("initImageUrl") { return .initial(url: initial, maskURL: mask) }
    return .nothing
  }
}
