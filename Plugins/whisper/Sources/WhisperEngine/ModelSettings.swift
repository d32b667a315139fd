import PluginProtocol

/// What the plugin's configuration and the host's resources say.
struct ModelSettings: Sendable, Equatable {
  var threads = 1
  /// The host gives this engine at least one accelerator.
  var hasDevice = false
  /// Candidate texts followed at a time. One, the likeliest, by default: whisper.cpp draws the others at random.
  var beamSize = 1
  /// The longest recording that is accepted, in seconds.
  var maxAudioSeconds = 240 * 60

  static let beamRange = 1...8

  init() {}

  init(_ parameters: InitializeParameters) throws {
    threads = min(max(1, parameters.resources.cpuThreads), 512)
    hasDevice = !parameters.resources.devices.isEmpty
    let config = try FieldReader(parameters.config, path: "config")
    if let value = try config.int("beamSize") {
      guard Self.beamRange.contains(value) else {
        throw EngineError(
          .badInput,
          "\(config.path).beamSize must be \(Self.beamRange.lowerBound) to \(Self.beamRange.upperBound), not \(value)")
      }
      beamSize = value
    }
    if let value = try config.int("maxAudioMinutes") { maxAudioSeconds = min(max(1, value), 1 << 20) * 60 }
  }
}
