import Glibc
import PluginProtocol

/// Makes what is needed to start a plugin's engine: command, environment, directories, limits.
package struct EngineLaunchFactory: Sendable {
  package var layout: HomeLayout
  package var configuration: HostConfiguration
  package var resources: MachineResources
  /// The host's own environment, of which an engine gets only what was asked for and granted.
  package var environment: [String: String]
  package var hostVersion: String
  /// Files of models outside the models directory that a plugin serves.
  package var modelFiles: @Sendable (PluginManifest) -> [String]
  /// Makes those who see the wire of a process of the plugin.
  package var observers: @Sendable (Plugin) -> [any WireObserver] = { _ in [] }

  package init(
    layout: HomeLayout, configuration: HostConfiguration, resources: MachineResources, environment: [String: String],
    hostVersion: String, modelFiles: @escaping @Sendable (PluginManifest) -> [String] = { _ in [] }
  ) {
    self.layout = layout
    self.configuration = configuration
    self.resources = resources
    self.environment = environment
    self.hostVersion = hostVersion
    self.modelFiles = modelFiles
  }

  /// - Throws: `SourceDiagnostics` when the operator's settings do not fit the manifest; `HomeError` when a directory
  ///   cannot be made; `SandboxRefusal` when the sandbox cannot be what the operator wants.
  package func make(_ plugin: Plugin, slot: Int, devices: DeviceAssignment) throws -> EngineLaunch {
    let manifest = plugin.manifest
    let settings = configuration.plugin(plugin.name)
    let config = try PluginSettings.resolve(manifest: manifest, values: settings.settings, file: layout.configFile)
    let own = ownDirectory(plugin)
    let (home, cache) = (FilePath.join(own, "home"), FilePath.join(own, "cache"))
    let work = ArtifactStore.workRoot(of: plugin.name, below: layout.dataDirectory)
    let made = [
      layout.cacheDirectory, FilePath.join(layout.cacheDirectory, "engines"), own, cache, home, FilePath.parent(work),
      work,
    ]
    for directory in made {
      guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
        throw HomeError(path: directory, problem: "cannot create \(directory): \(errorText(errno))")
      }
    }
    var sandbox = try sandboxRules(plugin, devices: devices.kind).make()
    let temporary = try makeTemporary(in: own, slot: slot)
    sandbox?.write.append(temporary)
    let quota = configuration.jobs.maxWorkBytes
    let threads = min(manifest.cpuThreads ?? .max, configuration.resources.cpuThreads ?? resources.cpuThreads)
    let memory = configuration.resources.memory.map(UInt64.init) ?? resources.memoryBytes
    var launch = EngineLaunch(
      process: ProcessSpec(
        launcher: layout.launcher, command: plugin.arguments,
        environment: engineEnvironment(manifest, settings, home: home, temporary: temporary, devices: devices),
        workingDirectory: plugin.directory,
        limits: ProcessSpec.Limits(
          openFiles: manifest.limits.openFiles.map(UInt64.init) ?? 4096,
          addressSpaceBytes: manifest.limits.addressSpace.map(UInt64.init),
          processes: UInt64(manifest.limits.processes ?? EngineLaunchFactory.processes),
          fileSizeBytes: UInt64(quota)), sandbox: sandbox, pinned: plugin.pinned),
      initialize: InitializeParameters(
        host: PeerVersion(name: "stoker", version: hostVersion), features: Feature.allCases.map(\.rawValue),
        config: config,
        directories: EngineDirectories(
          models: layout.modelsDirectory, cache: cache, work: work),
        resources: EngineResources(
          cpuThreads: max(1, threads), devices: devices.resources, memoryBytes: memory)),
      limits: SessionLimits(manifest.timeouts), shutdownGrace: min(manifest.timeouts.shutdown, .seconds(2)),
      temporaryDirectory: temporary,
      diskQuota: DiskQuota(bytes: quota, directories: [work, home, cache, temporary], disposable: [home, cache]))
    launch.observers = observers(plugin)
    return launch
  }

  /// Processes that an engine may become when its manifest does not say: far more than one with helpers needs.
  static let processes = 512

  /// What decides what an engine of the plugin may reach.
  package func sandboxRules(_ plugin: Plugin, devices: DeviceKind) -> SandboxRules {
    let settings = configuration.plugin(plugin.name).sandbox
    let program = plugin.executable.isInsidePlugin ? [] : [plugin.executable.path]
    // What a program of PATH is a link to may need what lies beside it there.
    let programs = (program + program.compactMap { try? FilePath.resolve($0).get() }).map(FilePath.parent)
    let guarded = [
      layout.configFile, layout.modelsFile, layout.dataDirectory, layout.stateDirectory, layout.cacheDirectory,
      layout.runtimeDirectory,
    ]
    let own = ownDirectory(plugin)
    let places = SandboxRules.Places(
      plugin: plugin.directory, work: ArtifactStore.workRoot(of: plugin.name, below: layout.dataDirectory),
      own: [FilePath.join(own, "home"), FilePath.join(own, "cache")],
      models: [layout.modelsDirectory] + modelFiles(plugin.manifest),
      searchPath: searchPath.split(separator: ":").map(String.init) + programs, userHome: environment["HOME"],
      guarded: (guarded + [layout.home, layout.logFile].compactMap(\.self)).map {
        (try? FilePath.resolve($0).get()) ?? $0
      })
    return SandboxRules(
      places: places, sandbox: plugin.manifest.sandbox, configuration: settings,
      mode: settings.mode ?? configuration.sandboxMode, devices: devices)
  }

  private func ownDirectory(_ plugin: Plugin) -> String {
    FilePath.join(layout.cacheDirectory, "engines/\(plugin.name)")
  }

  private var searchPath: String { environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin" }

  /// One for each process: the old version of a changed plugin may end while the new one runs in the same slot.
  private func makeTemporary(in own: String, slot: Int) throws -> String {
    var template = Array(FilePath.join(own, "tmp-\(slot)-XXXXXX").utf8CString)
    let isMade = mkdtemp(&template) != nil
    guard isMade else {
      throw HomeError(path: own, problem: "cannot create a directory in \(own): \(errorText(errno))")
    }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Removes the temporary files of engines of a former life.
  package func sweep() {
    let engines = FilePath.join(layout.cacheDirectory, "engines")
    for plugin in FileTree.names(in: engines) {
      let own = FilePath.join(engines, plugin)
      for name in FileTree.names(in: own) where name.hasPrefix("tmp-") { FileTree.remove(FilePath.join(own, name)) }
    }
  }

  /// Built from nothing: an engine sees no variable of the host but the ones named here.
  private func engineEnvironment(
    _ manifest: PluginManifest, _ settings: PluginConfiguration, home: String, temporary: String,
    devices: DeviceAssignment
  ) -> [String: String] {
    var engine = [
      "PATH": searchPath, "HOME": home, "TMPDIR": temporary,
      "LANG": environment["LANG"] ?? "C.UTF-8",
    ]
    if let zone = environment["TZ"] { engine["TZ"] = zone }
    let granted = PluginSettings.environment(
      manifest: manifest, granted: settings.environmentGrant, host: environment)
    // Devices last: what was assigned is not for the environment to widen.
    return engine.merging(granted) { own, _ in own }.merging(devices.environment) { $1 }
  }
}

extension SessionLimits {
  /// The clocks of a manifest.
  package init(_ timeouts: PluginTimeouts) {
    self.init()
    initialize = timeouts.initialize
    loadStall = timeouts.loadStall
    loadMaximum = max(.seconds(1800), timeouts.loadStall * 10)
    jobStall = timeouts.jobStall
    job = timeouts.job
    cancelGrace = timeouts.cancelGrace
    partialLine = timeouts.partialLine
    stdinStall = timeouts.unreadInput
  }
}
