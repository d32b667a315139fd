import ArgumentParser
import Host
import PluginProtocol

/// `stoker plugins test`.
struct PluginsTestCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test", abstract: "Test a plugin against the engine protocol.",
    discussion: """
      Starts the engine as the worker does, talks to it as Docs/Protocol.md says and also as no worker ever would, and \
      reports what it does wrong: what was expected, what came, which section says so, and what to do. Needs no running \
      worker. Docs/Conformance.md lists the checks.

      Jobs need a model unless the engine has one in itself. One of this home's models that the plugin serves is taken; \
      --model names another. Without any, the checks that need a job are skipped, and say so.

      A list on a terminal, TAP 14 in a pipe or with --tap. What the protocol asks for but does not demand is a warning. \
      Exit status 0 when nothing failed, 1 when something did, 2 for wrong usage.

      EXAMPLES
        stoker plugins test ./my-plugin
        stoker plugins test ./my-plugin --only cancel --only credit-stop --verbose
        stoker plugins test ./my-plugin --job job.json --timeout 5m
        stoker plugins test dist/plugins/llama --model smollm2-135m-instruct --json
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("A directory that holds a plugin.yaml.", valueName: "dir"), completion: .directory)
  var directory: String

  @Flag(help: "Print TAP 14 also on a terminal.")
  var tap = false
  @Option(help: ArgumentHelp("Run this check and what it needs. May be given again.", valueName: "name"))
  var only: [String] = []
  @Option(
    help: ArgumentHelp("The job to run, {\"kind\": …, \"task\": {…}}, instead of a usual one.", valueName: "file"),
    completion: .file())
  var job: String?
  @Option(help: ArgumentHelp("The model for jobs: an id, or the path of a file.", valueName: "id|file"))
  var model: String?
  @Option(help: ArgumentHelp("Longest time of all checks together.", valueName: "time"))
  var timeout = "60s"
  @Flag(name: .shortAndLong, help: "Show the wire of each check.")
  var verbose = false

  func run() async throws {
    let located = try global.located()
    let (layout, loaded) = try located.configured()
    var suite = ConformanceSuite(
      layout: layout, configuration: loaded.configuration, environment: located.environment,
      hostVersion: StokerVersion.current, models: try ModelsCommand.store(global))
    suite.only = only
    suite.model = model
    guard let time = DurationText.parse(timeout), time > .zero else {
      throw CLIError.usage("--timeout must be a time such as 60s or 5m, not '\(timeout)'")
    }
    suite.timeout = time
    guard FilePath.kind(directory) == .directory else {
      throw CLIError.usage("\(directory) is no directory; name the one that holds plugin.yaml")
    }
    if let job {
      let read = try ConformanceJobFile.read(job)
      suite.job = read.job
      suite.model = model ?? read.model
    }
    let report = try await test(suite)
    if global.json { try global.console.json(ConformanceScreen.json(report, verbose: verbose)) }
    guard !report.isConforming else { return }
    var failure = CLIError(.failed, class: "conformance", "")
    failure.isReported = true
    throw failure
  }

  private func test(_ suite: ConformanceSuite) async throws -> ConformanceReport {
    let screen = ConformanceScreen(
      console: global.console, style: global.json ? .none : tap || !global.console.isOutputTerminal ? .tap : .list,
      isVerbose: verbose, isQuiet: global.quiet)
    let directory = directory
    let report: ConformanceReport
    do {
      report = try await endedByInterrupt {
        try await suite.run(directory) {
          screen.begin($0)
        } report: {
          screen.show($1, number: $0)
        }
      }
    } catch let error as UnknownCheck {
      throw CLIError.usage(error.description)
    }
    screen.end(report)
    return report
  }
}
