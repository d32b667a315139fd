import PluginProtocol

/// An engine process, as far as models in its memory go.
package protocol ResidentEngine: Sendable {
  var pid: Int32? { get }
  /// Whether the host has asked the process to go.
  var isStopping: Bool { get }
  func load(
    _ model: ModelReference, progress: @escaping @Sendable (PluginProtocol.ModelProgress) -> Void
  ) async -> Result<ModelLoadResult, RPCError>
  /// Returns why it could not, or nil.
  func unload(model: String) async -> RPCError?
  func stop(grace: Duration)
}

extension EngineProcess: ResidentEngine {}

/// What the residency has to know of a process.
package struct EngineSeat: Sendable {
  package var engine: any ResidentEngine
  /// Name and version: footprints of one version say nothing about another.
  package var plugin: String
  package var version: String
  package var declared: PluginDevicePreference.ModelMemory
  /// Models that the engine can keep at a time.
  package var maxModels: Int
  /// Devices that the process was given; empty when it computes on the processors.
  package var devices: [DeviceID]
  /// Keeps a model's files from being removed while it is loaded; nil for models without files.
  package var claim: @Sendable (String) -> ModelUse?

  package init(
    engine: any ResidentEngine, plugin: String, version: String, declared: PluginDevicePreference.ModelMemory,
    maxModels: Int, devices: [DeviceID], claim: @escaping @Sendable (String) -> ModelUse?
  ) {
    self.engine = engine
    self.plugin = plugin
    self.version = version
    self.declared = declared
    self.maxModels = maxModels
    self.devices = devices
    self.claim = claim
  }
}

extension Footprints.Footprint {
  /// Spread over the pools of a process: several devices share a model evenly.
  func amounts(on devices: [DeviceID]) -> MemoryAmounts {
    var amounts = MemoryAmounts([.machine: machineBytes])
    guard !devices.isEmpty else {
      amounts[.machine] = machineBytes.addingWithoutOverflow(deviceBytes)
      return amounts
    }
    let share = deviceBytes / Int64(devices.count)
    for device in devices { amounts[.device(device.description)] = share }
    return amounts
  }

  init(_ amounts: MemoryAmounts) {
    let machine = amounts[.machine]
    self.init(machineBytes: machine, deviceBytes: amounts.total - machine)
  }
}
