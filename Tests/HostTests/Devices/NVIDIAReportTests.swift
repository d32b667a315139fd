import Testing

@testable import Host

private let mebibyte: UInt64 = 1 << 20

@Suite struct NVIDIAReportTests {
  @Test func readsEightGPUs() {
    let gpus = NVIDIAReport.gpus(gpuLines(8))
    #expect(gpus.map(\.index) == Array(0..<8))
    #expect(
      gpus[3]
        == NVIDIAReport.GPU(
          index: 3, uuid: "GPU-00000003-1111-2222-3333-444444444444", name: "NVIDIA H100 80GB HBM3",
          totalBytes: 81559 * mebibyte, freeBytes: 80055 * mebibyte))
  }

  @Test func whatTheToolDoesNotTellStaysUnknown() {
    let text = """
      0, GPU-00000000-1111-2222-3333-444444444444, NVIDIA GB10, [N/A], [N/A], [N/A]
      1, GPU-00000001-1111-2222-3333-444444444444, Tesla K20m, 4743, [Not Supported], [Not Supported]
      2, [N/A], Quadro, 8192, 1000, [Unknown Error]
      3, GPU-00000003-1111-2222-3333-444444444444, [Unknown Error], 8192, 1, 99999999999999999999
      4, GPU-00000004-1111-2222-3333-444444444444, Odd, Name, 8192, 0, 9000
      """
    let gpus = NVIDIAReport.gpus(text)
    #expect(gpus.map { $0.totalBytes.map { $0 / mebibyte } } == [nil, 4743, 8192, 8192, 8192])
    #expect(gpus.map { $0.freeBytes.map { $0 / mebibyte } } == [nil, nil, 7192, 8191, 8192])
    #expect(gpus[2].uuid == nil && gpus[3].name == "NVIDIA GPU" && gpus[4].name == "Odd, Name")
  }

  @Test(arguments: [
    "", "\n\n", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't communicate with the driver.",
    "Failed to initialize NVML: Driver/library version mismatch\n", "x, GPU-1, name, 1, 2, 3", "-1, GPU-1, n, 1, 2, 3",
    "999, GPU-00000000-1, n, 1, 2, 3", "0, GPU-00000000-1, n, 1, 2", ",,,,,", "\u{0}\u{1}\u{2}", "0;1;2;3;4;5",
  ]) func garbageIsNoGPU(_ text: String) { #expect(NVIDIAReport.gpus(text).isEmpty) }

  @Test func aHostileUUIDNeverReachesAnEnvironment() {
    for uuid in ["GPU-0,GPU-1", "GPU-$(reboot)", "GPU-" + String(repeating: "a", count: 200), "0", "GPU-\n"] {
      #expect(!NVIDIAReport.isUUID(uuid))
    }
    #expect(NVIDIAReport.isUUID("MIG-GPU-00000000-1111-2222-3333-444444444444/1/0"))
  }

  @Test func readsTheProcesses() {
    let text = """
      4711, GPU-00000000-1111-2222-3333-444444444444, 1532
      4712, GPU-00000001-1111-2222-3333-444444444444, [N/A]
      4713, [N/A], 12
      No running processes found
      [Insufficient Permissions], GPU-00000001-1111-2222-3333-444444444444, 3
      """
    #expect(
      NVIDIAReport.processes(text) == [
        NVIDIAReport.Process(pid: 4711, uuid: "GPU-00000000-1111-2222-3333-444444444444", bytes: 1532 * mebibyte),
        NVIDIAReport.Process(pid: 4712, uuid: "GPU-00000001-1111-2222-3333-444444444444", bytes: nil),
      ])
  }

  @Test func readsTheSlicesOfADividedGPU() {
    let text = """
      GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-1111-2222-3333-444444444444)
        MIG 3g.20gb     Device  0: (UUID: MIG-11111111-1111-2222-3333-444444444444)
        MIG 1g.5gb+me   Device  1: (UUID: MIG-22222222-1111-2222-3333-444444444444)
        MIG nonsense    Device  2: (UUID: MIG-33333333-1111-2222-3333-444444444444)
      GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-00000001-1111-2222-3333-444444444444)
      """
    let slices = NVIDIAReport.partitions(text)
    #expect(slices.map(\.profile) == ["3g.20gb", "1g.5gb+me"] && slices.allSatisfy { $0.gpu == 0 })
    // The real ones have 19968 and 4864 MiB: what is assumed is never more.
    #expect(slices.map(\.memoryBytes) == [19456 * mebibyte, 4864 * mebibyte])
    #expect(slices.first?.uuid == "MIG-11111111-1111-2222-3333-444444444444")
  }
}
