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
      "restart": restart.json,
    ])
  }

  private func auto(_ number: Int?) -> JSONValue { number.map { JSONValue($0) } ?? "auto" }
}

extension PluginConfiguration {
  var json: JSONValue {
    .compact([
      "enabled": .bool(enabled), "preload": .bool(preload), "environment": ["grant": JSONValue(environmentGrant)],
      "config": settings?.json ?? .null,
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
