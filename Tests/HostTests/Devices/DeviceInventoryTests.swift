import Testing

@testable import Host

@Suite struct DeviceInventoryTests {
  @Test func aConfiguredListReplacesWhatIsThere() async throws {
    let machine = try FakeMachine()
    let list = [1, 0].map { MachineDevice(id: DeviceID(.cuda, $0), name: "test \($0)", memoryBytes: 24 << 30) }
    let tool = try machine.fakeSMI(gpus: gpuLines(8))
    let inventory = DeviceInventory(configured: list, probes: machine.probes(tool: tool))
    #expect(await inventory.discover().devices == list.reversed())
    #expect(await inventory.refresh().devices == list.reversed())
    #expect(await inventory.deviceMemory(of: [1]) == nil)
    #expect(machine.calls().isEmpty)
  }

  @Test func measuresAgainAtMostOnceASecond() async throws {
    let machine = try FakeMachine()
    let clock = ManualHostClock()
    let tool = try machine.fakeSMI(gpus: gpuLines(2))
    let inventory = DeviceInventory(configured: nil, probes: machine.probes(tool: tool), clock: clock)
    #expect(inventory.snapshot.devices.isEmpty)
    let first = await inventory.discover()
    #expect(first.devices.count == 2 && first.measuredAt == clock.now())
    #expect(machine.calls() == ["--query-gpu=index,uuid,name,memory.total,memory.used,memory.free", "-L"])

    // One of the two has fallen off the bus, and its successor has taken its number.
    try machine.answer(gpus: "0, GPU-00000001-1111-2222-3333-444444444444, NVIDIA H100 80GB HBM3, 81559, 79, 81000\n")
    #expect(await inventory.refresh() == first)
    clock.advance(by: .milliseconds(999))
    #expect(await inventory.refresh() == first && machine.calls().count == 2)
    clock.advance(by: .milliseconds(1))
    let second = await inventory.refresh()
    #expect(second.devices.map(\.freeBytes) == [nil, 81000 << 20] && second.measuredAt == clock.now())
    #expect(second.devices.map(\.id) == first.devices.map(\.id))
    #expect(await inventory.refresh() == second && machine.calls().count == 3)
    #expect(inventory.snapshot == second)

    // Who has just unloaded something needs to know what was free after that.
    clock.advance(by: .milliseconds(1))
    let unloaded = clock.now()
    #expect(await inventory.refresh(since: unloaded).measuredAt == unloaded && machine.calls().count == 4)
    #expect(await inventory.refresh(since: unloaded).measuredAt == unloaded && machine.calls().count == 4)
  }

  @Test func manyAskersSendOneTool() async throws {
    let machine = try FakeMachine()
    let clock = ManualHostClock()
    let tool = try machine.fakeSMI(gpus: gpuLines(1))
    let inventory = DeviceInventory(configured: nil, probes: machine.probes(tool: tool), clock: clock)
    _ = await inventory.discover()
    clock.advance(by: .seconds(5))
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<50 { group.addTask { _ = await inventory.refresh() } }
    }
    #expect(machine.calls().count == 3)
  }

  @Test func aToolThatFailsLaterLeavesTheDevicesWithoutMeasure() async throws {
    let machine = try FakeMachine()
    let clock = ManualHostClock()
    let tool = try machine.fakeSMI(gpus: gpuLines(1))
    let inventory = DeviceInventory(configured: nil, probes: machine.probes(tool: tool), clock: clock)
    _ = await inventory.discover()
    _ = try machine.fakeSMI(script: "exit 15")
    clock.advance(by: .seconds(2))
    let snapshot = await inventory.refresh()
    #expect(snapshot.devices.map(\.freeBytes) == [nil])
    #expect(
      snapshot.notices == ["the memory of NVIDIA GPUs cannot be measured: \(tool) failed with exit status 15"])
  }

  @Test func aMachineWithoutDevicesIsNeverAskedAgain() async throws {
    let machine = try FakeMachine()
    let clock = ManualHostClock()
    let tool = try machine.fakeSMI(script: "exit 9")
    let inventory = DeviceInventory(configured: nil, probes: machine.probes(tool: tool), clock: clock)
    _ = await inventory.discover()
    let before = machine.calls().count
    for _ in 0..<5 {
      clock.advance(by: .seconds(60))
      _ = await inventory.refresh()
      #expect(await inventory.deviceMemory(of: [1]) == nil)
    }
    #expect(before == 1 && machine.calls().count == before)
  }

  @Test func sumsWhatProcessesHold() async throws {
    let machine = try FakeMachine()
    let clock = ManualHostClock()
    let uuids = (0..<2).map { "GPU-0000000\($0)-1111-2222-3333-444444444444" }
    let tool = try machine.fakeSMI(
      gpus: gpuLines(2),
      processes:
        "10, \(uuids[0]), 100\n11, \(uuids[0]), 20\n11, \(uuids[1]), 3\n12, \(uuids[1]), 4000\n13, GPU-ffffffff-1, 9\n")
    let inventory = DeviceInventory(configured: nil, probes: machine.probes(tool: tool), clock: clock)
    _ = await inventory.discover()
    let sum = await inventory.deviceMemory(of: [10, 11, 99])
    #expect(sum == [DeviceID(.cuda, 0): 120 << 20, DeviceID(.cuda, 1): 3 << 20])
    // Within the second the same answer serves other askers.
    #expect(await inventory.deviceMemory(of: [12]) == [DeviceID(.cuda, 1): 4000 << 20])
    #expect(await inventory.deviceMemory(of: [13, 99]) == nil)
    #expect(machine.calls().count == 3)
    clock.advance(by: .milliseconds(1))
    try machine.answer(processes: "10, \(uuids[0]), 700\n")
    #expect(await inventory.deviceMemory(of: [10]) == [DeviceID(.cuda, 0): 100 << 20])
    #expect(await inventory.deviceMemory(of: [10], since: clock.now()) == [DeviceID(.cuda, 0): 700 << 20])
    #expect(machine.calls().count == 4)
    try machine.answer(processes: "12, \(uuids[1]), [N/A]\n")
    clock.advance(by: .seconds(1))
    #expect(await inventory.deviceMemory(of: [12]) == nil && machine.calls().count == 5)
  }
}
