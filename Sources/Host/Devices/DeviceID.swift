import PluginProtocol

/// How a device is called by operators and in reports: `cuda:0`.
package struct DeviceID: Sendable, Hashable, Comparable, CustomStringConvertible {
  package let kind: DeviceKind
  /// Among the devices of that kind, from 0, in the order of the bus.
  package let index: Int

  /// Devices of one kind at most: more than any machine has.
  package static let indices = 0...255

  package init(_ kind: DeviceKind, _ index: Int) {
    self.kind = kind
    self.index = index
  }

  /// Reads `cuda:0`; nil for anything else, `cpu:0` included, because the processor is no device that is handed out.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let kind = DeviceKind(rawValue: String(parts[0])), kind != .cpu,
      parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let index = Int(parts[1]),
      DeviceID.indices.contains(index), String(index) == parts[1]
    else { return nil }
    self.init(kind, index)
  }

  package var description: String { "\(kind.rawValue):\(index)" }

  package static func < (left: DeviceID, right: DeviceID) -> Bool {
    (left.kind.rawValue, left.index) < (right.kind.rawValue, right.index)
  }
}

/// A computing device with memory of its own.
package struct MachineDevice: Sendable, Hashable {
  package let id: DeviceID
  /// The maker's name for this very device, such as `GPU-5d5ba0d6-…`; nil when it is not known.
  package var uuid: String?
  /// For people.
  package var name: String
  /// All of its memory in bytes.
  package var memoryBytes: UInt64
  /// Memory that nobody holds, in bytes, when it was last measured; nil when it cannot be measured.
  package var freeBytes: UInt64?

  package init(id: DeviceID, uuid: String? = nil, name: String, memoryBytes: UInt64, freeBytes: UInt64? = nil) {
    self.id = id
    self.uuid = uuid
    self.name = name
    self.memoryBytes = memoryBytes
    self.freeBytes = freeBytes
  }

  package var kind: DeviceKind { id.kind }
  package var index: Int { id.index }

  /// What `stoker status --json` and the like show of it.
  package var json: JSONValue {
    .compact([
      "id": .string(id.description), "kind": .string(kind.rawValue), "index": JSONValue(index),
      "uuid": JSONValue(uuid), "name": .string(name), "memoryBytes": JSONValue(memoryBytes),
      "freeBytes": JSONValue(freeBytes),
    ])
  }
}
