import ImageTask
import PluginProtocol

/// The plugin's configuration and the host's resources.
struct EngineSettings: Sendable {
  var threads = 1
  /// Of JPEG and WEBP files.
  var quality = 90
  /// Memory that the host wants this process to stay under.
  var memoryBytes: UInt64?
  var load = LoadOptions()

  init() {}

  init(_ parameters: InitializeParameters) throws {
    threads = max(1, parameters.resources.cpuThreads)
    memoryBytes = parameters.resources.memoryBytes
    let config = try FieldReader(parameters.config, path: "config")
    if let value = try config.int("quality") { quality = min(max(value, 1), 100) }
    load = try load.applying(config)
  }
}
