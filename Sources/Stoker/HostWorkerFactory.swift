import Glibc
import Host

/// Makes workers of the host library.
struct HostWorkerFactory: WorkerFactory {
  func run(_ options: WorkerOptions) async throws {
    let log = try makeLog(options)
    for warning in options.warnings { log.write(.warn, "config", warning.description) }
    TemporaryHome.sweep(below: options.layout.dataDirectory)
    let worker = try Worker(
      Host.WorkerOptions(
        layout: options.layout, configuration: options.configuration, environment: options.environment,
        version: StokerVersion.current, isDaemon: true, log: log))
    try await worker.run {
      log.write(.info, "host", "stoker \(StokerVersion.current) takes jobs at \(options.layout.socketPath)")
    }
  }

  func ephemeral<Value: Sendable>(
    _ options: WorkerOptions, _ body: @Sendable (any WorkerConnection) async throws -> Value
  ) async throws -> Value {
    let log = HostLog(
      output: options.isVerbose ? STDERR_FILENO : nil, threshold: options.isVerbose ? .debug : .info)
    for warning in options.warnings { log.write(.warn, "config", warning.description) }
    try options.layout.prepare()
    TemporaryHome.sweep(below: options.layout.dataDirectory)
    let directory = try TemporaryHome(below: options.layout.dataDirectory)
    defer { directory.remove() }
    var layout = options.layout
    layout.dataDirectory = directory.path
    layout.stateDirectory = directory.path + "/state"
    var hosted = Host.WorkerOptions(
      layout: layout, configuration: options.configuration, environment: options.environment,
      version: StokerVersion.current, isDaemon: false, log: log)
    hosted.observer = options.observer
    let worker = try Worker(hosted)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      let readiness = AsyncStream<Void>.makeStream()
      group.addTask {
        defer { readiness.continuation.finish() }
        try await worker.run { readiness.continuation.yield() }
      }
      var isReady = false
      for await _ in readiness.stream {
        isReady = true
        break
      }
      guard isReady else {
        // The worker could not start, and `body` would wait for it: its own error is the answer.
        try await group.waitForAll()
        throw CancellationError()
      }
      let result: Result<Value, any Error>
      do {
        result = .success(try await body(InProcessConnection(WorkerControl(worker))))
      } catch {
        result = .failure(error)
      }
      worker.requestStop()
      try await group.waitForAll()
      return try result.get()
    }
  }

  private func makeLog(_ options: WorkerOptions) throws -> HostLog {
    let configured = options.configuration.log
    var output: CInt = STDERR_FILENO
    if let file = options.layout.logFile {
      output = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard output >= 0 else {
        throw CLIError.usage("cannot write the log to \(file): \(String(cString: strerror(errno)))")
      }
    }
    let level: LogLevel =
      switch configured.level {
      case .trace, .debug: .debug
      case .info, .notice: .info
      case .warning: .warn
      case .error, .critical: .error
      }
    return HostLog(
      output: output, format: configured.format == .json ? .json : .text,
      threshold: options.isVerbose ? .debug : options.isQuiet ? .error : level)
  }
}
