import Synchronization

/// Which engine process has which devices, from before its start until after its end.
package final class DeviceBoard: Sendable {
  /// One process's hold on its devices; given back with `leave`.
  package struct Seat: Sendable {
    package var assignment: DeviceAssignment
    fileprivate var number: Int
  }

  private struct State {
    var taken: [Int: [DeviceID]] = [:]
    var next = 0
  }
  private let state = Mutex(State())
  private let inventory: DeviceInventory
  private let residency: Residency
  private let setting: @Sendable (_ plugin: String) -> PluginDevices

  package init(
    inventory: DeviceInventory, residency: Residency, setting: @escaping @Sendable (_ plugin: String) -> PluginDevices
  ) {
    self.inventory = inventory
    self.residency = residency
    self.setting = setting
  }

  /// The devices that a process of the plugin would get now.
  ///
  /// - Throws: `DeviceChoiceError` when the operator's choice cannot be followed.
  package func choose(_ plugin: Plugin) throws -> DeviceAssignment {
    try choose(plugin, state.withLock { $0.taken })
  }

  /// Chooses the devices of a process that is started now. Of two that start at once, the second one knows of the first.
  package func take(_ plugin: Plugin) throws -> Seat {
    try state.withLock { state in
      let assignment = try choose(plugin, state.taken)
      state.next += 1
      state.taken[state.next] = assignment.devices.map(\.id)
      return Seat(assignment: assignment, number: state.next)
    }
  }

  /// The process is gone.
  package func leave(_ seat: Seat) { state.withLock { _ = $0.taken.removeValue(forKey: seat.number) } }

  private func choose(_ plugin: Plugin, _ taken: [Int: [DeviceID]]) throws -> DeviceAssignment {
    let found = inventory.snapshot.devices
    var processes: [DeviceID: Int] = [:]
    for devices in taken.values { for device in devices { processes[device, default: 0] += 1 } }
    return try DeviceChoice.choose(
      plugin: plugin.name, prefer: plugin.manifest.device.prefer, setting: setting(plugin.name), devices: found,
      free: residency.unheld(of: found), processes: processes)
  }
}
