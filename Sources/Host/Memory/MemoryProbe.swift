/// How memory is measured. Closures, so that tests decide what is found.
package struct MemoryProbe: Sendable {
  /// Bytes that are free in each of the pools now; pools of which nobody can tell are left out.
  package var available: @Sendable (_ pools: [MemoryPool]) async -> [MemoryPool: Int64]
  /// What an engine's processes hold now, by pool; nil when they are gone.
  package var held: @Sendable (_ pid: Int32, _ devices: [DeviceID]) async -> MemoryAmounts?
  /// A process has gone: what was measured before says nothing about what is free now.
  package var processLeft: @Sendable () -> Void

  package init(
    available: @escaping @Sendable ([MemoryPool]) async -> [MemoryPool: Int64],
    held: @escaping @Sendable (Int32, [DeviceID]) async -> MemoryAmounts?,
    processLeft: @escaping @Sendable () -> Void = {}
  ) {
    self.available = available
    self.held = held
    self.processLeft = processLeft
  }

  /// This machine: `/proc`, and what tells of devices.
  package static func machine(_ inventory: DeviceInventory) -> MemoryProbe {
    MemoryProbe(
      available: { pools in
        var found: [MemoryPool: Int64] = [:]
        if pools.contains(.machine), let memory = SystemMemory.read() {
          found[.machine] = Int64(clamping: memory.availableBytes)
        }
        guard pools.contains(where: { $0 != .machine }) else { return found }
        for device in await inventory.refresh().devices {
          let pool = MemoryPool.device(device.id.description)
          if pools.contains(pool), let free = device.freeBytes { found[pool] = Int64(clamping: free) }
        }
        return found
      },
      held: { pid, devices in
        guard let memory = ProcessMemory.measure(engine: pid) else { return nil }
        var amounts = MemoryAmounts([.machine: Int64(clamping: memory.residentBytes)])
        // A load is often shorter than the pause between two looks: this one must not be answered with an older one.
        if !devices.isEmpty,
          let found = await inventory.deviceMemory(
            of: ProcessMemory.processes(ofEngine: pid), since: SystemHostClock().now())
        {
          for device in devices {
            amounts[.device(device.description)] = Int64(clamping: found[device] ?? 0)
          }
        }
        return amounts
      }, processLeft: { inventory.forgetMeasurements() })
  }
}
