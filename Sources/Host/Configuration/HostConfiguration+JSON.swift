import PluginProtocol

extension HostConfiguration {
  /// The configuration in effect, every default filled in, in the file's own shape: what `config show` prints.
  /// ``JSONValue/yamlText`` of it can be read back as a configuration file.
  package var json: JSONValue {
    .compact([
      "pluginDirectories": JSONValue(pluginDirectories), "plugins": .object(plugins.mapValues(\.json)),
      "jobs": jobs.json, "log": log.json, "models": models.json,
      "scheduling": ["maxConcurrentJobs": auto(scheduling.maxConcurrentJobs)],
      "resources": [
        "cpuThreads": auto(resources.cpuThreads),
        "memory": resources.memory.map { .string(ByteSize.text($0)) } ?? "auto",
      ],
      "restart": restart.json, "devices": devices.map { .array($0.map(\.configuredJSON)) } ?? "auto",
      "memory": memory.json, "fairness": ["maxWait": .string(DurationText.text(fairness.maxWait))],
      "residency": .object(
        Dictionary(residency.map { ($0.key.text, $0.value.json) }, uniquingKeysWith: { first, _ in first })),
      "inputs": inputs.json, "install": install.json,
    ])
  }

  private func auto(_ number: Int?) -> JSONValue { number.map { JSONValue($0) } ?? "auto" }
}

extension PluginConfiguration {
  var json: JSONValue {
    .compact([
      "enabled": .bool(enabled), "preload": .bool(preload), "environment": ["grant": JSONValue(environmentGrant)],
      "devices": devices.json, "sandbox": sandbox.json, "config": settings?.json ?? .null,
    ])
  }
}

extension JobsConfiguration {
  var json: JSONValue {
    [
      "maxQueued": JSONValue(maxQueued), "maxAttempts": JSONValue(maxAttempts),
      "retention": [
        "maxAge": .string(DurationText.text(retentionMaxAge)), "maxCount": JSONValue(retentionMaxCount),
      ],
      "maxArtifactBytes": .string(ByteSize.text(maxArtifactBytes)), "maxArtifactFiles": JSONValue(maxArtifactFiles),
      "maxWorkBytes": .string(ByteSize.text(maxWorkBytes)),
    ]
  }
}

extension LogConfiguration {
  var json: JSONValue {
    .compact(["level": .string(level.rawValue), "format": .string(format.rawValue), "file": JSONValue(file)])
  }
}

extension ModelsConfiguration {
  var json: JSONValue {
    .compact([
      "directory": JSONValue(directory), "file": JSONValue(file), "keepFree": .string(ByteSize.text(keepFree)),
    ])
  }
}

extension RestartConfiguration {
  var json: JSONValue {
    [
      "firstDelay": .string(DurationText.text(firstDelay)), "maxDelay": .string(DurationText.text(maxDelay)),
      "resetAfter": .string(DurationText.text(resetAfter)), "quarantineFailures": JSONValue(quarantineFailures),
      "quarantineWindow": .string(DurationText.text(quarantineWindow)),
    ]
  }
}

extension MachineDevice {
  /// As an element of `devices`.
  fileprivate var configuredJSON: JSONValue {
    [
      "kind": .string(kind.rawValue), "index": JSONValue(index), "name": .string(name),
      "memory": .string(ByteSize.text(Int64(clamping: memoryBytes))),
    ]
  }
}

extension PluginDevices {
  var json: JSONValue {
    switch self {
    case .auto: "auto"
    case .all: "all"
    case .none: "none"
    case .only(let ids): JSONValue(ids.map(\.description))
    }
  }
}

extension MemoryConfiguration {
  var json: JSONValue {
    [
      "limit": .string(limit.text), "reserve": .string(ByteSize.text(reserve)),
      "vramThreshold": .string(vramThreshold.map(ByteSize.text) ?? "none"),
      "waitForRoom": .string(DurationText.text(waitForRoom)),
    ]
  }
}

extension ResidencyConfiguration {
  var json: JSONValue {
    let lasting =
      switch keepAlive {
      case .after(let duration)?: DurationText.text(duration)
      case .forever?: "forever"
      case nil: "engine"
      }
    return [
      "pin": .bool(pin), "preload": .bool(preload), "keepAlive": .string(lasting),
      "maxResident": maxResident.map { JSONValue($0) } ?? "auto",
    ]
  }
}

extension InputsConfiguration {
  var json: JSONValue {
    ["maxBytes": .string(ByteSize.text(maxBytes)), "allowPrivateAddresses": .bool(allowPrivateAddresses)]
  }
}
