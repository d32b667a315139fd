import PluginProtocol

/// How models are loaded: the plugin's configuration and the host's resources, then the model's own options.
struct ModelSettings: Sendable, Equatable {
  var contextSize = 8192
  var threads = 1
  /// Negative for all.
  var gpuLayers = -1
  var usesMemoryMap = true

  static let contextRange = 256...(1 << 24)

  init(_ parameters: InitializeParameters) throws {
    threads = max(1, parameters.resources.cpuThreads)
    let config = try FieldReader(parameters.config, path: "config")
    try read(config)
  }

  init() {}

  /// These settings with what the model's options say instead.
  func applying(_ options: JSONValue) throws -> ModelSettings {
    var settings = self
    try settings.read(try FieldReader(options, path: "model.options"))
    return settings
  }

  private mutating func read(_ fields: FieldReader) throws {
    if let value = try fields.int("contextSize") {
      guard Self.contextRange.contains(value) else {
        throw EngineError(
          .badInput,
          "\(fields.path).contextSize must be \(Self.contextRange.lowerBound) to \(Self.contextRange.upperBound), "
            + "not \(value)")
      }
      contextSize = value
    }
    if let value = try fields.int("gpuLayers") { gpuLayers = min(max(value, -1), 1 << 16) }
    if let value = try fields.bool("mmap") { usesMemoryMap = value }
  }
}
