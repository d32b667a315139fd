import Host

/// How commands come by a worker in this process. `HostWorkerFactory` is the one of the program.
protocol WorkerFactory: Sendable {
  /// Runs a worker with its control socket until it is told to stop; handles SIGTERM, SIGINT and SIGHUP itself.
  func run(_ options: WorkerOptions) async throws

  /// Starts a worker without socket and without remote coordinators for as long as the body runs, and stops it, its
  /// engines included, before it returns or throws.
  ///
  /// Signals are the caller's business. Its jobs are kept where they cannot meet those of a running worker of this home.
  func ephemeral<Value: Sendable>(
    _ options: WorkerOptions, _ body: @Sendable (any WorkerConnection) async throws -> Value
  ) async throws -> Value
}

/// What a worker in this process is made of.
struct WorkerOptions: Sendable {
  /// With the configuration applied.
  var layout: HomeLayout
  var configuration: HostConfiguration
  /// About the configuration; to be logged.
  var warnings: [SourceDiagnostic]
  var environment: [String: String]
  /// Log more than the configuration says.
  var isVerbose: Bool
  /// Log errors only.
  var isQuiet: Bool
  /// Makes one that sees the wire of a process of the plugin.
  var observer: (@Sendable (Plugin) -> (any WireObserver)?)?
}
