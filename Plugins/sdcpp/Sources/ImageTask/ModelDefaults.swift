public import PluginProtocol

/// What a model's `options` say about drawing with it. A task's own values go before them.
public struct ModelDefaults: Equatable, Sendable {
  /// 0 where the options have none, as for the others.
  public var width = 0
  public var height = 0
  public var steps = 0
  public var cfgScale = 0.0
  /// Nil for what the library thinks best for the kind of model.
  public var sampler: String?
  public var flowShift = 0.0
  /// Frames a second of a video model.
  public var fps = 0.0
  /// The weight of a LoRA file that the prompt does not name.
  public var loraWeight = 1.0

  /// The names that are read here.
  static let names: Set<String> = [
    "width", "height", "steps", "cfgScale", "samplingMethod", "flowShift", "fps", "loraWeight",
  ]

  public init() {}

  /// - Throws: `EngineError` of class `bad_input`, or `FieldError`.
  public init(options: JSONValue, samplers: [String]) throws {
    let fields = try FieldReader(options, path: "model.options")
    width = try Self.size(fields, "width")
    height = try Self.size(fields, "height")
    steps = try Bounds.steps.optional(fields, "steps") ?? 0
    cfgScale = try Bounds.scale.optional(fields, "cfgScale") ?? 0
    sampler = try SamplerName.read(fields, "samplingMethod", known: samplers)
    flowShift = try Bounds.scale.optional(fields, "flowShift") ?? 0
    fps = try Bounds.framesPerSecond.optional(fields, "fps") ?? 0
    loraWeight = try Bounds.loraWeight.optional(fields, "loraWeight") ?? 1
  }

  private static func size(_ fields: FieldReader, _ key: String) throws -> Int {
    try Bounds.side.optional(fields, key) ?? 0
  }
}

/// Options of a model that decide how it is loaded; the plugin's configuration has most of them, too.
public struct LoadOptions: Equatable, Sendable {
  public var offloadsToProcessor = false
  public var usesMemoryMap = false
  public var maxVramGib = 0.0
  public var zeroCondT = false

  static let names: Set<String> = ["offloadToCpu", "mmap", "maxVramGib", "zeroCondT"]

  public init() {}

  /// These options with what the members say instead.
  public func applying(_ fields: FieldReader) throws -> LoadOptions {
    var options = self
    options.offloadsToProcessor = try fields.bool("offloadToCpu") ?? offloadsToProcessor
    options.usesMemoryMap = try fields.bool("mmap") ?? usesMemoryMap
    options.maxVramGib = try Bounds.gibibytes.optional(fields, "maxVramGib") ?? maxVramGib
    options.zeroCondT = try fields.bool("zeroCondT") ?? zeroCondT
    return options
  }

  /// The members of a model's options that mean nothing to this engine, sorted.
  public static func unknown(in options: JSONValue) -> [String] {
    (options.object ?? [:]).keys.filter { !names.contains($0) && !ModelDefaults.names.contains($0) }.sorted()
  }
}
