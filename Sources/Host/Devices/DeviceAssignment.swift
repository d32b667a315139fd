import PluginProtocol

/// The devices that one engine process is given: all of one kind, or none, which means the processor.
package struct DeviceAssignment: Sendable, Equatable {
  /// In the order of their indices.
  package let devices: [MachineDevice]

  /// The processor alone.
  package static let cpu = DeviceAssignment(devices: [])

  /// - Parameter devices: of one kind.
  package init(devices: [MachineDevice]) { self.devices = devices.sorted { $0.id < $1.id } }

  package var kind: DeviceKind { devices.first?.kind ?? .cpu }

  /// What `initialize` tells the engine.
  package var resources: [EngineDevice] {
    devices.map { EngineDevice(kind: $0.kind.rawValue, index: $0.index, uuid: $0.uuid, memoryBytes: $0.memoryBytes) }
  }

  /// Variables that show an engine's libraries these devices and hide all others, so that a build for a GPU does not
  /// take one that it was not given. They take precedence over what the operator granted.
  ///
  /// CUDA, ROCm's runtime and ggml's Vulkan backend see nothing when their list is empty. HIP takes an empty list for
  /// none at all, hence its -1; and it counts within what ROCm's runtime shows, hence from 0.
  package var environment: [String: String] {
    [
      // The order of nvidia-smi; CUDA's own default is the fastest first.
      "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": list(.cuda), "ROCR_VISIBLE_DEVICES": list(.rocm),
      "HIP_VISIBLE_DEVICES": kind == .rocm ? devices.indices.map(String.init).joined(separator: ",") : "-1",
      "GGML_VK_VISIBLE_DEVICES": list(.vulkan),
    ]
  }

  /// By name where every name is known: numbers move when a device is taken out.
  private func list(_ kind: DeviceKind) -> String {
    guard self.kind == kind else { return "" }
    let names = devices.compactMap(\.uuid)
    return (names.count == devices.count ? names : devices.map { String($0.index) }).joined(separator: ",")
  }
}

/// What an operator says about the devices of a plugin: `plugins.NAME.devices`.
package enum PluginDevices: Sendable, Hashable {
  /// The host chooses one for each process.
  case auto
  /// Each process gets every device of the kind that the plugin likes best.
  case all
  /// Each process gets the processor alone.
  case none
  /// Each process gets exactly these; of one kind, not empty.
  case only([DeviceID])
}
