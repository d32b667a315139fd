/// Decoding of what decides about devices and memory.
extension HostConfiguration {
  static func decodeDevices(_ fields: YAMLFields) -> [MachineDevice]? {
    guard let node = fields.node("devices"), !node.isNull, node.scalar != .string("auto") else { return nil }
    guard let nodes = node.sequence else {
      fields.collector.mismatch("devices", expected: "auto or a list of devices", node)
      return nil
    }
    guard nodes.count <= 256 else {
      fields.error("devices", "has more than 256 devices; shorten it")
      return nil
    }
    var seen: Set<DeviceID> = []
    return nodes.enumerated().compactMap { at, node in
      guard let device = fields.collector.fields(node, path: "devices[\(at)]", decodeDevice) ?? nil else { return nil }
      guard seen.insert(device.id).inserted else {
        fields.collector.error("devices[\(at)]: \(device.id) is listed twice; remove one", at: node.mark)
        return nil
      }
      return device
    }
  }

  private static func decodeDevice(_ fields: YAMLFields) -> MachineDevice? {
    fields.require("kind", "cuda")
    fields.require("index", "0")
    fields.require("memory", "24GiB")
    let kind = fields.choice("kind", DeviceKind.self)
    let index = fields.int("index", in: DeviceID.indices)
    let memory = fields.byteSize("memory", in: (1 << 20)...(1 << 60))
    let name = fields.line("name", maxLength: 128)
    if kind == .cpu {
      fields.error("kind", "the processor is no device that can be listed; remove it")
      return nil
    }
    guard let kind, let index, let memory else { return nil }
    let id = DeviceID(kind, index)
    return MachineDevice(id: id, name: name ?? id.description, memoryBytes: UInt64(memory))
  }

  static func decodePluginDevices(_ fields: YAMLFields) -> PluginDevices? {
    guard let node = fields.node("devices") else { return nil }
    if case .string(let word)? = node.scalar, let whole = PluginDevices.words[word] { return whole }
    guard let nodes = node.sequence else {
      fields.collector.mismatch(
        fields.place("devices"), expected: "auto, all, none or a list of devices such as [\"cuda:0\"]", node)
      return nil
    }
    guard !nodes.isEmpty else {
      fields.error("devices", "the list is empty; write none for the processor alone")
      return nil
    }
    let ids = fields.list("devices", of: "devices") { node -> DeviceID? in
      guard case .string(let text)? = node.scalar, let id = DeviceID(text) else {
        fields.collector.mismatch(
          fields.place("devices"), expected: "a device: its kind and its number, such as \"cuda:0\"", node)
        return nil
      }
      return id
    }
    guard let ids, ids.count == nodes.count else { return nil }
    guard Set(ids.map(\.kind)).count == 1 else {
      fields.error("devices", "are of several kinds; an engine computes on one kind at a time")
      return nil
    }
    return .only(ids)
  }

  static func decodeMemory(_ fields: YAMLFields) -> MemoryConfiguration {
    var memory = MemoryConfiguration()
    if let node = fields.node("limit") {
      switch node.scalar {
      case .string(let text)? where text.hasSuffix("%"):
        if let limit = MemoryLimit(text) {
          memory.limit = limit
        } else {
          fields.error("limit", "\(text.quotedForMessage) is out of range; use 1% to 100%")
        }
      case .int?, .string?:
        if let bytes = fields.memorySize("limit", or: "a part such as 90%") { memory.limit = .bytes(bytes) }
      default:
        fields.collector.mismatch(fields.place("limit"), expected: "a size such as 8GiB or a part such as 90%", node)
      }
    }
    memory.reserve = fields.byteSize("reserve") ?? memory.reserve
    if fields.node("vramThreshold")?.scalar != .string("none") {
      memory.vramThreshold = fields.memorySize("vramThreshold", or: "none")
    }
    memory.waitForRoom =
      fields.duration("waitForRoom", in: .zero ... .seconds(3600)) ?? memory.waitForRoom
    return memory
  }

  static func decodeFairness(_ fields: YAMLFields) -> FairnessConfiguration {
    var fairness = FairnessConfiguration()
    fairness.maxWait = fields.duration("maxWait", in: .zero ... .seconds(86_400)) ?? fairness.maxWait
    return fairness
  }

  static func decodeResidency(_ fields: YAMLFields) -> [ModelPattern: ResidencyConfiguration] {
    guard let node = fields.node("residency"), !node.isNull else { return [:] }
    var residency: [ModelPattern: ResidencyConfiguration] = [:]
    for entry in fields.entries("residency") ?? [] where !entry.key.hasPrefix("x-") {
      let pattern = ModelPattern(entry.key)
      guard (1...200).contains(entry.key.utf8.count), entry.key.unicodeScalars.allSatisfy({ $0.value > 0x20 }) else {
        fields.collector.error(
          "residency: \(entry.key.quotedForMessage) is not a model's id or glob; use 1 to 200 bytes without blanks",
          at: entry.keyMark)
        continue
      }
      guard !entry.value.isNull else { continue }
      residency[pattern] = fields.collector.fields(entry.value, path: "residency.\(entry.key)") { model in
        decodeModelResidency(model, isGlob: !pattern.isExact)
      }
    }
    return residency
  }

  private static func decodeModelResidency(_ fields: YAMLFields, isGlob: Bool) -> ResidencyConfiguration {
    var residency = ResidencyConfiguration()
    residency.pin = fields.bool("pin") ?? residency.pin
    residency.preload = fields.bool("preload") ?? residency.preload
    if residency.preload, isGlob {
      fields.error("preload", "a glob does not say which model to load; name the model by its id")
    }
    residency.keepAlive = decodeKeepAlive(fields)
    residency.maxResident = fields.autoOrInt("maxResident", in: 1...256)
    return residency
  }

  private static func decodeKeepAlive(_ fields: YAMLFields) -> ResidencyConfiguration.KeepAlive? {
    guard let node = fields.node("keepAlive") else { return nil }
    switch node.scalar {
    case .string("forever")?: return .forever
    case .string("engine")?: return nil
    case .string(let text)? where DurationText.parse(text) != nil:
      return fields.duration("keepAlive").map { .after($0) }
    default:
      fields.collector.mismatch(
        fields.place("keepAlive"), expected: "engine, forever or a duration with its unit, such as 10m", node)
      return nil
    }
  }

  static func decodeInputs(_ fields: YAMLFields) -> InputsConfiguration {
    var inputs = InputsConfiguration()
    inputs.maxBytes = fields.byteSize("maxBytes", in: 1...(1 << 60)) ?? inputs.maxBytes
    inputs.allowPrivateAddresses = fields.bool("allowPrivateAddresses") ?? inputs.allowPrivateAddresses
    return inputs
  }

  /// Main memory that engines may hold together, of a machine with that many bytes: ``MemoryConfiguration/limit`` of
  /// ``ResourcesConfiguration/memory`` where the operator says how much there is, else of the machine's.
  package func memoryLimit(machine bytes: UInt64) -> UInt64 {
    memory.limit.bytes(of: resources.memory.map { min(bytes, UInt64($0)) } ?? bytes)
  }

  /// The residency of a model.
  package func residency(of model: String) -> ResidencyConfiguration {
    ResidencyConfiguration.find(model, in: residency)
  }
}

extension PluginDevices {
  /// What stands for more than a list.
  fileprivate static let words: [String: PluginDevices] = ["auto": .auto, "all": .all, "none": .none]
}

extension YAMLFields {
  /// A size from 1MiB on, as ``byteSize(_:in:)``, where another word would be right too.
  fileprivate func memorySize(_ key: String, or other: String) -> Int64? {
    if let node = node(key) {
      switch node.scalar {
      case .int?: break
      case .string(let text)? where ByteSize.parse(text) != nil: break
      default:
        collector.mismatch(place(key), expected: "a size such as 8GiB, or \(other)", node)
        return nil
      }
    }
    return byteSize(key, in: (1 << 20)...(1 << 60))
  }
}
