import Glibc
import PluginProtocol

/// Tests a plugin against the protocol: `stoker plugins test`.
///
/// Needs no running worker. The engine is started as the host starts it, in directories of its own below `TMPDIR`, and
/// nothing of it is left afterwards, whatever it does.
package struct ConformanceSuite: Sendable {
  package var layout: HomeLayout
  package var configuration: HostConfiguration
  package var environment: [String: String]
  package var hostVersion: String
  package var models: ModelStore
  /// Checks to run, with what they need; empty for all.
  package var only: [String] = []
  /// The author's own job, for its kind.
  package var job: ConformanceJob?
  /// An id or a file.
  package var model: String?
  /// For everything together.
  package var timeout: Duration = .seconds(60)

  package init(
    layout: HomeLayout, configuration: HostConfiguration, environment: [String: String], hostVersion: String,
    models: ModelStore
  ) {
    self.layout = layout
    self.configuration = configuration
    self.environment = environment
    self.hostVersion = hostVersion
    self.models = models
  }

  /// Tests the plugin in a directory.
  ///
  /// - Parameters:
  ///   - begin: called once, with the number of checks that will be reported.
  ///   - report: called after each check, with its number from 1, on a thread of the suite's own.
  /// - Throws: `UnknownCheck`; `CancellationError` when the task was cancelled; `HomeError` when there is no room for the
  ///   test itself.
  package func run(
    _ directory: String, begin: @Sendable (Int) -> Void,
    report: @escaping @Sendable (_ number: Int, ConformanceOutcome) -> Void
  ) async throws -> ConformanceReport {
    let checks = try ConformanceCheck.selected(only)
    TerminationSignals.ignoreBrokenPipes()
    let started = SystemHostClock().now()
    let lint = PluginLint.lint(directory, searchPath: PluginCatalog.searchPath(environment["PATH"]))
    begin(checks.count)
    var outcomes: [ConformanceOutcome] = []
    let name = lint.plugin?.name ?? FilePath.name(directory)
    if let plugin = lint.plugin {
      let root = try ConformanceFiles.temporary(below: environment["TMPDIR"] ?? "/tmp")
      defer { FileTree.remove(root) }
      let setup = try await setup(plugin, below: root)
      let timeout = timeout
      outcomes = try await onBlockingThread { cancel in
        try ConformanceRun(setup, lint: lint, timeout: timeout, cancel: cancel).run(checks, report)
      }
    } else {
      outcomes = ConformanceRun.unusable(lint, checks)
      for (index, outcome) in outcomes.enumerated() { report(index + 1, outcome) }
    }
    return ConformanceReport(
      plugin: name, directory: directory, outcomes: outcomes,
      duration: started.duration(to: SystemHostClock().now()))
  }

  func setup(_ plugin: Plugin, below root: String) async throws -> ConformanceSetup {
    var layout = layout
    layout.cacheDirectory = FilePath.join(root, "cache")
    layout.dataDirectory = FilePath.join(root, "data")
    // Where the launch below lets the engine write.
    let work = ArtifactStore.workRoot(of: plugin.name, below: layout.dataDirectory)
    let directories = ConformanceDirectories(root: root, work: work)
    for path in [
      layout.cacheDirectory, layout.dataDirectory, FilePath.join(layout.dataDirectory, "work"), work,
      directories.models,
    ] {
      guard mkdir(path, 0o700) == 0 else {
        throw HomeError(path: path, problem: "cannot create \(path): \(errorText(errno))")
      }
    }
    // Half of the machine: threads that spin for each other stand still together where others work, too.
    var resources = MachineResources.read()
    resources.cpuThreads = max(1, resources.cpuThreads / 2)
    var models: [JobKind: ConformanceModels] = [:]
    for kind in Set(plugin.manifest.serves.map(\.kind)) {
      models[kind] = await ConformanceModels.find(kind, plugin.manifest, wanted: model, in: self.models)
    }
    // An author's model lies where he has it.
    let files = models.values.flatMap(\.files) + [directories.models]
    let launch = try EngineLaunchFactory(
      layout: layout, configuration: configuration, resources: resources, environment: environment,
      hostVersion: hostVersion, modelFiles: { _ in files }
    ).make(plugin, slot: 0, devices: .cpu)
    var setup = ConformanceSetup(
      plugin: plugin, process: launch.process, initialize: launch.initialize.json, directories: directories,
      models: models, job: job, listing: DirectoryListing(plugin.directory))
    let trace = WireTrace(environment: environment, hostVersion: hostVersion, clock: SystemHostClock()) { text in
      let line = Array("stoker: \(text)\n".utf8)
      _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
    if let trace { setup.observers = { [trace.observer(plugin)].compactMap(\.self) } }
    return setup
  }
}
