import Foundation
import Testing

@testable import Host

@Suite struct DeviceProbesTests {
  @Test func aMachineWithoutDevicesHasNone() async throws {
    let machine = try FakeMachine()
    #expect(try await machine.probes().look() == DeviceProbes.Finding())
  }

  @Test func asksTheTool() async throws {
    let machine = try FakeMachine()
    let tool = try machine.fakeSMI(gpus: gpuLines(8))
    let found = try await machine.probes(tool: tool).look()
    #expect(found.devices.map(\.id) == (0..<8).map { DeviceID(.cuda, $0) } && found.notices.isEmpty)
    #expect(found.devices[7].uuid == "GPU-00000007-1111-2222-3333-444444444444")
    #expect(found.devices[7].memoryBytes == 81559 << 20 && found.devices[7].freeBytes == 80055 << 20)
  }

  @Test func aDividedGPUIsItsSlices() async throws {
    let machine = try FakeMachine()
    let listing = """
      GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-1111-2222-3333-444444444444)
        MIG 1g.10gb     Device  0: (UUID: MIG-11111111-1111-2222-3333-444444444444)
        MIG 1g.10gb     Device  1: (UUID: MIG-22222222-1111-2222-3333-444444444444)
      GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-00000001-1111-2222-3333-444444444444)
      """
    let found = try await machine.probes(tool: try machine.fakeSMI(gpus: gpuLines(2), listing: listing)).look()
    #expect(found.devices.map(\.id.description) == ["cuda:0", "cuda:1", "cuda:2"])
    #expect(found.devices.map { $0.uuid?.prefix(5) } == ["MIG-1", "MIG-2", "GPU-0"])
    #expect(found.devices.map(\.freeBytes) == [nil, nil, 80055 << 20])
    #expect(found.devices.first?.name == "NVIDIA H100 80GB HBM3 MIG 1g.10gb")
  }

  @Test func aGPUWithoutMemoryIsNamedAndNotUsed() async throws {
    let machine = try FakeMachine()
    let lines = "0, GPU-00000000-1111-2222-3333-444444444444, NVIDIA GB10, [N/A], [N/A], [N/A]\n"
    let found = try await machine.probes(tool: try machine.fakeSMI(gpus: lines)).look()
    #expect(found.devices.isEmpty)
    #expect(
      found.notices == [
        "cuda:0 (NVIDIA GB10) does not tell how much memory it has, so it is not used; name it with its memory under "
          + "'devices' in the configuration to use it"
      ])
  }

  @Test(arguments: [
    ("exit 9", "failed with exit status 9"), ("kill -SEGV $$", "was killed by signal 11"),
    ("exec sleep 1000", "did not answer in time"), ("sleep 1000 & exec >&-; sleep 1000", "did not answer in time"),
    ("exec yes", "printed more than it should"),
  ]) func aToolThatFailsIsSaidAndTheDriverIsRead(_ script: String, _ problem: String) async throws {
    let machine = try FakeMachine()
    try machine.nvidiaDriver("0000:01:00.0", information("Video Memory: \t 24576 MB\n"))
    let witness = try Witness(machine.path + "/witness")
    var probes = machine.probes(tool: try machine.fakeSMI(script: "exec 9> '\(witness.path)'\n" + script))
    // Only the tools that hang run into it; a slow machine starts a shell in less.
    if script.contains("sleep") { probes.timeout = .milliseconds(700) }
    let found = try await probes.look()
    #expect(found.devices.map(\.id) == [DeviceID(.cuda, 0)] && found.devices[0].memoryBytes == 24 << 30)
    let tool = machine.path + "/fake-nvidia-smi"
    #expect(found.notices == ["NVIDIA GPUs: \(tool) \(problem); looking at the driver's files instead"])
    #expect(witness.isAlone(within: .seconds(20)), "something of the tool is left")
  }

  @Test func aMissingToolIsSaid() async throws {
    let machine = try FakeMachine()
    let found = try await machine.probes(tool: machine.path + "/none").look()
    #expect(found.devices.isEmpty && found.notices.count == 1)
    #expect(found.notices.first?.contains("cannot be started: No such file or directory") == true)
  }

  @Test func theToolIsFoundOnTheSearchPath() throws {
    let machine = try FakeMachine()
    let tool = try machine.fakeSMI(script: "exit 0")
    try FileManager.default.createDirectory(atPath: machine.path + "/bin", withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: machine.path + "/bin/nvidia-smi", withDestinationPath: tool)
    let environment = ["PATH": "relative:/nowhere:\(machine.path)/bin"]
    #expect(DeviceProbes.machine(environment: environment).nvidiaSMI == machine.path + "/bin/nvidia-smi")
  }

  @Test func readsTheDriversFilesInTheOrderOfTheBus() async throws {
    let machine = try FakeMachine()
    try machine.nvidiaDriver("0000:41:00.0", information("Video Memory: 12 GB\n"))
    try machine.nvidiaDriver("0000:01:00.0", information("GPU Excluded:\t No\nVideo Memory: 24576 MiB\n"))
    try machine.nvidiaDriver("0000:21:00.0", information("GPU Excluded:\t Yes\nVideo Memory: 1 GB\n"))
    try machine.nvidiaDriver("0000:61:00.0", information(""))
    try machine.nvidiaDriver("0000:81:00.0", "\u{0}garbage")
    let found = try await machine.probes().look()
    #expect(found.devices.map(\.memoryBytes) == [24 << 30, 12 << 30])
    #expect(found.devices.map(\.name) == ["NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 3090"])
    #expect(found.devices[0].uuid == "GPU-00000000-1111-2222-3333-444444444444")
    #expect(found.notices.count == 1 && found.notices[0].hasPrefix("cuda:2 (NVIDIA GeForce RTX 3090) does not tell"))
  }

  @Test func readsAMDsCards() async throws {
    let machine = try FakeMachine()
    try machine.card(10, vendor: "0x1002", files: ["mem_info_vram_total": "8589934592", "mem_info_vram_used": "x"])
    try machine.card(
      2, vendor: "0x1002",
      files: [
        "mem_info_vram_total": "25753026560", "mem_info_vram_used": "1073741824", "unique_id": "8f2ac1c3d4e5f607",
        "product_name": "Radeon RX 7900 XTX",
      ])
    try machine.card(0, vendor: "0x8086", files: ["mem_info_vram_total": "8589934592"])
    try machine.card(1, vendor: "0x1002", files: [:])
    try machine.card(3, vendor: "0x1002", files: ["mem_info_vram_total": "-5"])
    try machine.write("0x1002\n", to: "sys/class/drm/card2-DP-1/device/vendor")
    let found = try await machine.probes().look()
    #expect(found.devices.map(\.id.description) == ["rocm:0", "rocm:1"] && found.notices.isEmpty)
    #expect(
      found.devices[0]
        == MachineDevice(
          id: DeviceID(.rocm, 0), uuid: "GPU-8f2ac1c3d4e5f607", name: "Radeon RX 7900 XTX",
          memoryBytes: 25_753_026_560, freeBytes: 24_679_284_736))
    #expect(found.devices[1].freeBytes == nil && found.devices[1].uuid == nil)
  }

  @Test(arguments: [
    ("", []), ("-1", []), ("1", [1]), ("2, 0", [0, 2]), ("GPU-00000001", [1]), ("0,7,1", [0]), ("0,0", [0]),
    ("GPU-", []), ("0,1,2", [0, 1, 2]),
  ]) func whatTheHostsOwnUserHidesIsNotHandedOut(_ variable: String, _ kept: [Int]) async throws {
    let machine = try FakeMachine()
    let environment = ["CUDA_VISIBLE_DEVICES": variable]
    let probes = machine.probes(tool: try machine.fakeSMI(gpus: gpuLines(3)), environment: environment)
    let found = try await probes.look()
    #expect(found.devices.map(\.index) == kept)
    #expect(found.notices.isEmpty == (kept.count == 3))
  }

  private func information(_ more: String) -> String {
    """
    Model: \t\t NVIDIA GeForce RTX 3090
    IRQ:   \t\t 123
    GPU UUID: \t GPU-00000000-1111-2222-3333-444444444444
    Video BIOS: \t 94.02.42.00.a9
    Bus Type: \t PCIe
    DMA Size: \t 47 bits
    DMA Mask: \t 0x7fffffffffff
    Bus Location: \t 0000:01:00.0
    Device Minor: \t 0

    """ + more
  }
}

/// Tells when every process is gone that a script started after it had opened a pipe of that name for writing.
private final class Witness {
  let path: String
  private let descriptor: Int32

  init(_ path: String) throws {
    self.path = path
    try #require(mkfifo(path, 0o600) == 0)
    descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    try #require(descriptor >= 0)
  }

  deinit { close(descriptor) }

  func isAlone(within limit: Duration) -> Bool {
    var byte: UInt8 = 0
    if read(descriptor, &byte, 1) == 0 { return true }
    var item = pollfd(fd: descriptor, events: 0, revents: 0)
    return poll(&item, 1, limit.pollMilliseconds) == 1 && item.revents & Int16(POLLHUP) != 0
  }
}
