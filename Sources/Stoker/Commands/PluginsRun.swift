import ArgumentParser
import Host
import PluginProtocol

/// `stoker plugins run`.
struct PluginsRunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run one job by hand, and show the wire.",
    discussion: """
      Starts a worker in this process that has this plugin alone, gives it one job, and prints every message in both \
      directions as it passes, then the result. The job has one attempt. Needs no running worker. Ctrl-C cancels the job.

      Each line has the seconds since the process was started and who speaks: -> the host, <- the engine, !! the engine's \
      stderr, -- what became of the process. Long lines are cut, unless --full. With --json each line is an object as in a \
      trace (Docs/Tracing.md), and the last one the result.

      The kind may be left out when the plugin serves one alone. Task flags and inputs are those of `stoker exec`.

      EXAMPLES
        stoker plugins run ./shout --prompt "hello there"
        stoker plugins run ./say tts --text "good morning" -o speech.wav
        stoker plugins run ./shout --job job.json --full
        echo '{"kind":"llm","task":{"messages":[{"role":"user","content":"hi"}]}}' | stoker plugins run ./shout --job - --json
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("A directory that holds a plugin.yaml.", valueName: "dir"), completion: .directory)
  var directory: String
  @OptionGroup(title: "Job") var task: TaskOptions
  @Flag(help: "Do not cut long lines and texts.")
  var full = false
  @OptionGroup(title: "Result") var output: OutputOptions

  func run() async throws {
    let single = try SinglePlugin(directory)
    defer { single.remove() }
    var task = task
    if task.kind == nil, task.job == nil { task.kind = single.onlyKind?.cliName }
    let request = try task.request(writingTo: output.output)
    let options = try worker(single)
    let (console, isJSON) = (global.console, global.json)
    let screen = WireScreen(console: console, isJSON: isJSON, isFull: full)
    var watched = options
    watched.observer = { _ in screen.observer() }
    let worker = watched
    let (isQuiet, path) = (global.quiet, output.output)
    try await withSignalWatch { watch in
      try await HostWorkerFactory().ephemeral(worker) { connection in
        let runner = JobRunner(
          connection: connection, console: console, isJSON: isJSON, isQuiet: isQuiet, streams: isJSON, output: path,
          transcript: request.transcript, outlivesProgram: false)
        let job = try await runner.submit(request, watch)
        let waiter = JobWaiter(
          connection: connection, console: console,
          printer: JobEventPrinter(console: console, mode: .quietly, isQuiet: true), outlivesProgram: false)
        let outcome = try await waiter.wait(
          for: job.id, chunks: false, events: watch.events, outputFailed: watch.outputFailed)
        await screen.finish()
        try runner.deliver(outcome)
      }
    }
  }

  private func worker(_ single: SinglePlugin) throws -> WorkerOptions {
    let located = try global.located()
    let (found, loaded) = try located.configured()
    var layout = found
    layout.pluginDirectories = [PluginDirectory(path: single.searchDirectory, origin: .commandLine)]
    // What fails is to be seen, not tried again.
    var configuration = loaded.configuration
    configuration.jobs.maxAttempts = 1
    // What does not start is not tried again either: there is nobody here who could put it right meanwhile.
    configuration.restart.quarantineFailures = 1
    return WorkerOptions(
      layout: layout, configuration: configuration, warnings: loaded.warnings,
      environment: located.environment, isVerbose: false, isQuiet: global.quiet)
  }
}
