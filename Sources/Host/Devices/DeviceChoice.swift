/// Decides which devices a new engine process gets.
package enum DeviceChoice {
  /// Devices whose free memory differs by less than this part of the larger one's whole count as equally free: what a
  /// desktop or a driver holds should not draw every engine to the other device.
  private static let tolerance: UInt64 = 16

  /// The devices for one more process of a plugin.
  ///
  /// By itself (`auto`) a process gets one device, of the first kind in `prefer` that the machine has: the one with the
  /// most free memory, of equally free ones the one with the fewest processes, then the first. `cpu` in `prefer`, or
  /// the end of it, means the processor.
  ///
  /// - Parameters:
  ///   - plugin: its name, for messages.
  ///   - prefer: kinds of device that the plugin's manifest names, best first.
  ///   - setting: what the operator has set for the plugin.
  ///   - devices: what the machine has.
  ///   - free: bytes that are not spoken for, by device. A device that is not in it has what was measured, or all.
  ///   - processes: engine processes that have the device already; none where it is missing.
  /// - Throws: when the operator names a device that is not there or is of no use to the plugin.
  package static func choose(
    plugin: String, prefer: [DeviceKind], setting: PluginDevices, devices: [MachineDevice],
    free: [DeviceID: UInt64] = [:], processes: [DeviceID: Int] = [:]
  ) throws(DeviceChoiceError) -> DeviceAssignment {
    switch setting {
    case .none: return .cpu
    case .only(let wanted): return try exactly(wanted, plugin: plugin, prefer: prefer, devices: devices)
    case .all: return DeviceAssignment(devices: best(prefer, devices))
    case .auto:
      let candidates = best(prefer, devices)
      let room = { (device: MachineDevice) in free[device.id] ?? device.freeBytes ?? device.memoryBytes }
      guard let freest = candidates.max(by: { room($0) < room($1) }) else { return .cpu }
      let least = room(freest) - min(room(freest), freest.memoryBytes / tolerance)
      let chosen = candidates.filter { room($0) >= least }.min { left, right in
        let (first, second) = (processes[left.id] ?? 0, processes[right.id] ?? 0)
        if first != second { return first < second }
        if room(left) != room(right) { return room(left) > room(right) }
        return left.id < right.id
      }
      return DeviceAssignment(devices: chosen.map { [$0] } ?? [])
    }
  }

  /// Every device of the most preferred kind that there is.
  private static func best(_ prefer: [DeviceKind], _ devices: [MachineDevice]) -> [MachineDevice] {
    for kind in prefer {
      if kind == .cpu { return [] }
      let found = devices.filter { $0.kind == kind }
      if !found.isEmpty { return found }
    }
    return []
  }

  private static func exactly(
    _ wanted: [DeviceID], plugin: String, prefer: [DeviceKind], devices: [MachineDevice]
  ) throws(DeviceChoiceError) -> DeviceAssignment {
    var found: [MachineDevice] = []
    for id in wanted {
      guard let device = devices.first(where: { $0.id == id }) else {
        let all = devices.map(\.id.description).joined(separator: ", ")
        throw DeviceChoiceError(
          plugin: plugin,
          problem: "names \(id), which this machine does not have; it has \(all.isEmpty ? "none" : all)")
      }
      guard prefer.contains(id.kind) else {
        let kinds = prefer.map(\.rawValue).joined(separator: ", ")
        throw DeviceChoiceError(
          plugin: plugin, problem: "names \(id), but the plugin computes on \(kinds) only (device.prefer)")
      }
      found.append(device)
    }
    return DeviceAssignment(devices: found)
  }
}

/// Why an operator's choice of devices cannot be followed.
package struct DeviceChoiceError: Error, Sendable, Equatable, CustomStringConvertible {
  package let plugin: String
  package let problem: String

  package var description: String { "plugins.\(plugin).devices \(problem)" }
}
