extension HostConfiguration {
  /// A configuration with the remarks that do not make it unusable.
  package struct Loaded: Sendable, Equatable {
    package let configuration: HostConfiguration
    package let warnings: [SourceDiagnostic]
    /// Whether there was a file.
    package let isFromFile: Bool
  }

  /// Reads the configuration file; without one everything has its default.
  /// - Throws: everything that is wrong with it. A file that is there and cannot be read is an error, not a default.
  package static func load(_ path: String) throws(SourceDiagnostics) -> Loaded {
    let contents: SafeFile.Contents
    do {
      contents = try SafeFile.read(path, maxBytes: YAMLLimits.configuration.bytes)
    } catch {
      if error.reason == .notFound {
        return Loaded(configuration: HostConfiguration(), warnings: [], isFromFile: false)
      }
      throw SourceDiagnostics([SourceDiagnostic(.error, file: path, message: error.reason.description)])
    }
    return try decode(contents.bytes, file: path)
  }

  /// All that is wrong with the file, and the warnings; empty when there is nothing to say. Settings of plugins are
  /// checked by ``PluginSettings``, which needs their manifests.
  package static func check(_ path: String) -> [SourceDiagnostic] {
    do throws(SourceDiagnostics) { return try load(path).warnings } catch { return error.all }
  }

  /// Decodes the bytes of a configuration file.
  package static func decode(_ bytes: [UInt8], file: String) throws(SourceDiagnostics) -> Loaded {
    let node: YAMLNode
    do {
      node = try YAMLNode(parsing: bytes, file: file, limits: .configuration)
    } catch {
      throw SourceDiagnostics([SourceDiagnostic(error)])
    }
    guard !node.isNull else { return Loaded(configuration: HostConfiguration(), warnings: [], isFromFile: true) }
    let collector = DiagnosticCollector(file: file)
    let configuration = collector.fields(node, path: "", decode) ?? HostConfiguration()
    return Loaded(configuration: configuration, warnings: try collector.finish(), isFromFile: true)
  }

  private static func decode(_ fields: YAMLFields) -> HostConfiguration {
    var configuration = HostConfiguration()
    configuration.pluginDirectories =
      fields.list("pluginDirectories", of: "paths") { node -> String? in
        guard case .string(let text)? = node.scalar, isPath(text) else {
          fields.collector.mismatch("pluginDirectories", expected: "a path", node)
          return nil
        }
        return text
      } ?? configuration.pluginDirectories
    configuration.plugins = decodePlugins(fields)
    configuration.jobs = fields.section("jobs", decodeJobs) ?? configuration.jobs
    configuration.log = fields.section("log", decodeLog) ?? configuration.log
    configuration.models = fields.section("models", decodeModels) ?? configuration.models
    configuration.scheduling =
      fields.section("scheduling") {
        SchedulingConfiguration(maxConcurrentJobs: $0.autoOrInt("maxConcurrentJobs", in: 1...4096))
      } ?? configuration.scheduling
    configuration.resources = fields.section("resources", decodeResources) ?? configuration.resources
    configuration.restart = fields.section("restart", decodeRestart) ?? configuration.restart
    configuration.devices = decodeDevices(fields)
    configuration.memory = fields.section("memory", decodeMemory) ?? configuration.memory
    configuration.fairness = fields.section("fairness", decodeFairness) ?? configuration.fairness
    configuration.residency = decodeResidency(fields)
    configuration.inputs = fields.section("inputs", decodeInputs) ?? configuration.inputs
    configuration.sandboxMode =
      (fields.section("sandbox") { $0.choice("mode", SandboxConfiguration.Mode.self) } ?? nil)
      ?? configuration.sandboxMode
    configuration.install = fields.section("install", InstallConfiguration.decode) ?? configuration.install
    return configuration
  }

  private static func decodePlugins(_ fields: YAMLFields) -> [String: PluginConfiguration] {
    var plugins: [String: PluginConfiguration] = [:]
    guard let node = fields.node("plugins"), !node.isNull else { return [:] }
    for entry in fields.entries("plugins") ?? [] where !entry.key.hasPrefix("x-") {
      guard PluginManifest.isName(entry.key) else {
        fields.collector.error(
          "plugins: \(entry.key.quotedForMessage) is not a plugin name; use 1 to 40 of a-z, 0-9 and -",
          at: entry.keyMark)
        continue
      }
      guard !entry.value.isNull else { continue }
      plugins[entry.key] = fields.collector.fields(entry.value, path: "plugins.\(entry.key)", decodePlugin)
    }
    return plugins
  }

  private static func decodePlugin(_ fields: YAMLFields) -> PluginConfiguration {
    var plugin = PluginConfiguration()
    plugin.enabled = fields.bool("enabled") ?? plugin.enabled
    plugin.preload = fields.bool("preload") ?? plugin.preload
    plugin.environmentGrant =
      (fields.section("environment") { $0.environmentNames("grant") } ?? nil) ?? plugin.environmentGrant
    plugin.devices = decodePluginDevices(fields) ?? plugin.devices
    plugin.sandbox = fields.section("sandbox", SandboxConfiguration.decode) ?? plugin.sandbox
    if let settings = fields.node("config"), !settings.isNull {
      if settings.mapping == nil {
        fields.collector.mismatch(fields.place("config"), expected: "a mapping", settings)
      } else {
        plugin.settings = settings
      }
    }
    return plugin
  }

  private static func decodeJobs(_ fields: YAMLFields) -> JobsConfiguration {
    var jobs = JobsConfiguration()
    jobs.maxQueued = fields.int("maxQueued", in: 1...10_000_000) ?? jobs.maxQueued
    jobs.maxAttempts = fields.int("maxAttempts", in: 1...100) ?? jobs.maxAttempts
    _ = fields.section("retention") { retention in
      jobs.retentionMaxAge = retention.duration("maxAge") ?? jobs.retentionMaxAge
      jobs.retentionMaxCount = retention.int("maxCount", in: 0...10_000_000) ?? jobs.retentionMaxCount
    }
    jobs.maxArtifactBytes = fields.byteSize("maxArtifactBytes", in: 1...(1 << 60)) ?? jobs.maxArtifactBytes
    jobs.maxArtifactFiles = fields.int("maxArtifactFiles", in: 1...1_000_000) ?? jobs.maxArtifactFiles
    jobs.maxWorkBytes = fields.byteSize("maxWorkBytes", in: (1 << 20)...(1 << 60)) ?? jobs.maxWorkBytes
    return jobs
  }

  private static func decodeLog(_ fields: YAMLFields) -> LogConfiguration {
    var log = LogConfiguration()
    log.level = fields.choice("level", LogConfiguration.Level.self) ?? log.level
    log.format = fields.choice("format", LogConfiguration.Format.self) ?? log.format
    log.file = path("file", fields)
    return log
  }

  private static func decodeModels(_ fields: YAMLFields) -> ModelsConfiguration {
    var models = ModelsConfiguration()
    models.directory = path("directory", fields)
    models.file = path("file", fields)
    models.keepFree = fields.byteSize("keepFree") ?? models.keepFree
    return models
  }

  private static func decodeResources(_ fields: YAMLFields) -> ResourcesConfiguration {
    var resources = ResourcesConfiguration()
    resources.cpuThreads = fields.autoOrInt("cpuThreads", in: 1...1024)
    if let node = fields.node("memory"), node.scalar != .string("auto") {
      resources.memory = fields.byteSize("memory", in: (1 << 20)...(1 << 60))
    }
    return resources
  }

  private static func decodeRestart(_ fields: YAMLFields) -> RestartConfiguration {
    var restart = RestartConfiguration()
    let delay = Duration.milliseconds(1) ... .seconds(86_400)
    restart.firstDelay = fields.duration("firstDelay", in: delay) ?? restart.firstDelay
    restart.maxDelay = fields.duration("maxDelay", in: delay) ?? restart.maxDelay
    restart.resetAfter = fields.duration("resetAfter") ?? restart.resetAfter
    restart.quarantineFailures = fields.int("quarantineFailures", in: 1...1000) ?? restart.quarantineFailures
    restart.quarantineWindow = fields.duration("quarantineWindow", in: delay) ?? restart.quarantineWindow
    if restart.firstDelay > restart.maxDelay {
      fields.error("firstDelay", "is longer than 'maxDelay' (\(DurationText.text(restart.maxDelay))); shorten it")
    }
    return restart
  }

  private static func path(_ key: String, _ fields: YAMLFields) -> String? {
    guard let text = fields.string(key) else { return nil }
    guard isPath(text) else {
      fields.error(key, "expected a path of 1 to 4095 bytes")
      return nil
    }
    return text
  }

  private static func isPath(_ text: String) -> Bool { (1...4095).contains(text.utf8.count) && !text.utf8.contains(0) }
}

extension YAMLFields {
  /// A mapping whose key may stand there with nothing under it, as it does when a person has put all of it in
  /// comments.
  fileprivate func section<Value>(_ key: String, _ body: (YAMLFields) -> Value) -> Value? {
    guard let node = node(key), !node.isNull else { return nil }
    return mapping(key, body)
  }
}
