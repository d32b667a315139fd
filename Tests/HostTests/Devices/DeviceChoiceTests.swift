import PluginProtocol
import Testing

@testable import Host

private func device(_ id: String, _ gibibytes: UInt64 = 24, uuid: String? = nil, free: UInt64? = nil) -> MachineDevice {
  MachineDevice(
    id: DeviceID(id) ?? DeviceID(.cpu, 0), uuid: uuid, name: id, memoryBytes: gibibytes << 30,
    freeBytes: free.map { $0 << 30 })
}

private func byDevice<Value>(_ values: [String: Value]) -> [DeviceID: Value] {
  Dictionary(
    values.compactMap { name, value in DeviceID(name).map { ($0, value) } }, uniquingKeysWith: { first, _ in first })
}

private func choose(
  _ prefer: [DeviceKind], _ devices: [MachineDevice], _ setting: PluginDevices = .auto,
  free: [String: UInt64] = [:], processes: [String: Int] = [:]
) throws -> [String] {
  try DeviceChoice.choose(
    plugin: "llama", prefer: prefer, setting: setting, devices: devices,
    free: byDevice(free.mapValues { $0 << 30 }), processes: byDevice(processes)
  ).devices.map(\.id.description)
}

@Suite struct DeviceChoiceTests {
  private let two = [device("cuda:0"), device("cuda:1")]

  @Test(arguments: ["cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:01", "cuda:256", "cpu:0", "gpu:0", "cuda:0:1", ""])
  func whatIsNoDevice(_ text: String) { #expect(DeviceID(text) == nil) }

  @Test func theMostPreferredKindThatExists() throws {
    let mixed = [device("rocm:0"), device("vulkan:0"), device("cuda:0", 8)]
    #expect(try choose([.cuda, .rocm, .cpu], mixed) == ["cuda:0"])
    #expect(try choose([.metal, .rocm, .cuda], mixed) == ["rocm:0"])
    #expect(try choose([.cpu, .cuda], mixed) == [])
    #expect(try choose([.cuda, .cpu], [device("vulkan:0")]) == [])
    #expect(try choose([.vulkan], []) == [])
  }

  @Test func theMostFreeMemory() throws {
    #expect(try choose([.cuda], two, free: ["cuda:0": 3, "cuda:1": 20]) == ["cuda:1"])
    // The ledger knows of loads that no measurement shows yet.
    let measured = [device("cuda:0", free: 22), device("cuda:1", free: 10)]
    #expect(try choose([.cuda], measured) == ["cuda:0"])
    #expect(try choose([.cuda], measured, free: ["cuda:0": 2]) == ["cuda:1"])
    #expect(try choose([.cuda], [device("cuda:0", 8), device("cuda:1", 24)]) == ["cuda:1"])
  }

  @Test func equallyFreeOnesAreSharedOut() throws {
    var processes: [String: Int] = [:]
    var order: [String] = []
    for _ in 0..<5 {
      let chosen = try choose([.cuda], two, processes: processes)
      order += chosen
      processes[chosen[0], default: 0] += 1
    }
    #expect(order == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"])
    // A desktop's gigabyte on the first is no reason to put everything on the second.
    #expect(try choose([.cuda], two, free: ["cuda:0": 23], processes: ["cuda:1": 1]) == ["cuda:0"])
    #expect(try choose([.cuda], two, free: ["cuda:0": 22], processes: ["cuda:1": 1]) == ["cuda:1"])
  }

  @Test func theOperatorsWordIsExact() throws {
    let mixed = two + [device("rocm:0")]
    #expect(try choose([.cuda, .cpu], mixed, PluginDevices.none) == [])
    #expect(try choose([.cuda, .rocm], mixed, .all) == ["cuda:0", "cuda:1"])
    #expect(try choose([.cpu], mixed, .all) == [])
    #expect(try choose([.cuda, .rocm], mixed, .only([DeviceID(.rocm, 0)])) == ["rocm:0"])
    let both = PluginDevices.only([DeviceID(.cuda, 1), DeviceID(.cuda, 0)])
    #expect(try choose([.cuda], mixed, both) == ["cuda:0", "cuda:1"])
  }

  @Test func whatCannotBeFollowedIsSaid() {
    let absent = #expect(throws: DeviceChoiceError.self) { try choose([.cuda], two, .only([DeviceID(.cuda, 3)])) }
    #expect(
      absent?.description
        == "plugins.llama.devices names cuda:3, which this machine does not have; it has cuda:0, cuda:1")
    let none = #expect(throws: DeviceChoiceError.self) { try choose([.cuda], [], .only([DeviceID(.cuda, 0)])) }
    #expect(none?.description.hasSuffix("it has none") == true)
    let useless = #expect(throws: DeviceChoiceError.self) {
      try choose([.rocm, .cpu], two, .only([DeviceID(.cuda, 0)]))
    }
    #expect(
      useless?.description
        == "plugins.llama.devices names cuda:0, but the plugin computes on rocm, cpu only (device.prefer)")
  }

  @Test func anEngineSeesItsOwnDevicesAndNoOther() {
    let hidden = [
      "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": "",
      "HIP_VISIBLE_DEVICES": "-1", "GGML_VK_VISIBLE_DEVICES": "",
    ]
    let changed = { (assignment: DeviceAssignment) in assignment.environment.filter { hidden[$0.key] != $0.value } }
    #expect(DeviceAssignment.cpu.environment == hidden)
    #expect(changed(DeviceAssignment(devices: two)) == ["CUDA_VISIBLE_DEVICES": "0,1"])
    let named = [device("cuda:1", uuid: "GPU-b"), device("cuda:0", uuid: "GPU-a")]
    #expect(changed(DeviceAssignment(devices: named)) == ["CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"])
    let half = [device("cuda:2", uuid: "GPU-c"), device("cuda:0")]
    #expect(changed(DeviceAssignment(devices: half)) == ["CUDA_VISIBLE_DEVICES": "0,2"])
    let cards = [device("rocm:1"), device("rocm:3")]
    #expect(
      changed(DeviceAssignment(devices: cards)) == ["ROCR_VISIBLE_DEVICES": "1,3", "HIP_VISIBLE_DEVICES": "0,1"])
    #expect(changed(DeviceAssignment(devices: [device("vulkan:2")])) == ["GGML_VK_VISIBLE_DEVICES": "2"])
  }

  @Test func theEngineIsToldTheSame() {
    let assignment = DeviceAssignment(devices: [device("cuda:1", uuid: "GPU-b")])
    #expect(
      assignment.resources == [EngineDevice(kind: "cuda", index: 1, uuid: "GPU-b", memoryBytes: 24 << 30)])
    #expect(DeviceAssignment.cpu.resources.isEmpty && DeviceAssignment.cpu.kind == .cpu && assignment.kind == .cuda)
  }
}
