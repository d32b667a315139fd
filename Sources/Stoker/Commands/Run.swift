import ArgumentParser
import Host

/// `stoker run`.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run the worker, in the foreground.",
    discussion: """
      Takes jobs, starts engines when they are first needed, and answers the other commands. Plugins that are dropped into \
      one of its directories serve within two seconds. SIGTERM and Ctrl-C let running jobs end or hand them back; a second \
      one does not wait for them.

      EXAMPLES
        stoker run
        stoker run --home /srv/stoker --plugins ./my-plugins
      """)

  @OptionGroup var global: GlobalOptions
  @OptionGroup var local: LocalWorkerOptions

  func run() async throws {
    try await HostWorkerFactory().run(try local.worker(global))
  }
}

/// What `run` and `exec` take on top: they have a worker of their own.
struct LocalWorkerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("A directory of plugins, searched before the home's; may be repeated.", valueName: "dir"),
    completion: .directory)
  var plugins: [String] = []

  @Flag(name: .shortAndLong, help: "Log more.")
  var verbose = false

  /// The worker that is meant, with its configuration read.
  func worker(_ global: GlobalOptions) throws -> WorkerOptions {
    let located = try global.located(plugins: plugins)
    let (layout, loaded) = try located.configured()
    return WorkerOptions(
      layout: layout, configuration: loaded.configuration, warnings: loaded.warnings,
      environment: located.environment, isVerbose: verbose, isQuiet: global.quiet)
  }
}
