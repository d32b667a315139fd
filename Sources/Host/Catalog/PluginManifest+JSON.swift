import PluginProtocol

extension PluginManifest {
  /// The manifest with every default filled in, in the manifest's own shape: what `plugins inspect` prints.
  package var json: JSONValue {
    .compact([
      "manifest": JSONValue(PluginManifest.formatVersion), "name": .string(name), "version": .string(version),
      "summary": summary.isEmpty ? .null : .string(summary), "license": JSONValue(license),
      "command": JSONValue(command),
      "protocol": .array(protocolVersions.map { JSONValue($0) }), "serves": .array(serves.map(\.json)),
      "features": JSONValue(features), "concurrency": JSONValue(concurrency), "processes": JSONValue(processes),
      "residentModels": JSONValue(residentModels),
      "device": device.json, "cpuThreads": cpuThreads.map { JSONValue($0) } ?? "auto", "timeouts": timeouts.json,
      "environment": ["allow": JSONValue(environmentAllow)], "sandbox": sandbox.json,
      "config": .object(
        Dictionary(options.map { ($0.name, $0.json) }, uniquingKeysWith: { first, _ in first })),
      "limits": limits.json, "sha256": JSONValue(sha256),
    ])
  }
}

extension PluginService {
  var json: JSONValue {
    .compact([
      "kind": .string(kind.rawValue), "models": JSONValue(models.map(\.text)), "modelEngine": JSONValue(modelEngine),
    ])
  }
}

extension PluginDevicePreference {
  var json: JSONValue {
    let perModel: JSONValue =
      switch memoryPerModel {
      case .estimate: "estimate"
      case .bytes(let bytes): .string(ByteSize.text(bytes))
      }
    return ["prefer": JSONValue(prefer.map(\.rawValue)), "memory": ["perModel": perModel]]
  }
}

extension PluginTimeouts {
  var json: JSONValue {
    let text = { (duration: Duration) in JSONValue.string(DurationText.text(duration)) }
    return [
      "initialize": text(initialize), "loadStall": text(loadStall), "jobStall": text(jobStall), "job": text(job),
      "cancelGrace": text(cancelGrace), "shutdown": text(shutdown), "partialLine": text(partialLine),
      "unreadInput": text(unreadInput), "idleExit": text(idleExit),
    ]
  }
}

extension PluginSandbox {
  var json: JSONValue {
    [
      "network": .string(network.rawValue), "read": JSONValue(read.map(\.rawValue)),
      "write": JSONValue(write.map(\.rawValue)), "required": .bool(isRequired),
    ]
  }
}

extension PluginOption {
  var json: JSONValue {
    .compact([
      "type": .string(kind.rawValue), "default": defaultValue ?? .null, "minimum": JSONValue(minimum),
      "maximum": JSONValue(maximum), "values": values.isEmpty ? .null : JSONValue(values),
      "description": summary.isEmpty ? .null : .string(summary),
    ])
  }
}

extension PluginLimits {
  var json: JSONValue {
    .compact([
      "openFiles": JSONValue(openFiles), "addressSpace": JSONValue(addressSpace.map(ByteSize.text)),
      "processes": JSONValue(processes),
    ])
  }
}
