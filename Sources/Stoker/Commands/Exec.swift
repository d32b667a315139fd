import ArgumentParser

/// `stoker exec`.
struct ExecCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exec", abstract: "Run one job with no worker left behind.",
    discussion: """
      Starts a worker in this process for one job, and stops it, its engines included, when the job has ended. Text is \
      printed as it comes when stdout is a terminal. Ctrl-C cancels the job.

      EXAMPLES
        stoker exec llm --prompt "Why is the sky blue?"
        stoker exec tts --text "Good morning" -o morning.wav
        git diff | stoker exec llm --system "Review this." --prompt -
        stoker exec --job job.json --json
      """)

  @OptionGroup var global: GlobalOptions
  @OptionGroup(title: "Worker") var local: LocalWorkerOptions
  @OptionGroup(title: "Job") var task: TaskOptions
  @Flag(inversion: .prefixedNo, help: "Print text as it comes; with --json every event as a line.")
  var stream: Bool?
  @OptionGroup(title: "Result") var output: OutputOptions

  func run() async throws {
    let (_, params) = try task.request(writingTo: output.output)
    let options = try local.worker(global)
    let console = global.console
    let streams = stream ?? (console.isOutputTerminal && !global.json && output.output == nil)
    let (isJSON, isQuiet, path) = (global.json, global.quiet, output.output)
    // Watched from before the worker starts, so that Ctrl-C never leaves engines behind.
    try await withSignalWatch { watch in
      try await HostWorkerFactory().ephemeral(options) { connection in
        let runner = JobRunner(
          connection: connection, console: console, isJSON: isJSON, isQuiet: isQuiet, streams: streams, output: path,
          outlivesProgram: false)
        let job = try await runner.submit(params)
        try await runner.follow(job.id, events: watch.events, outputFailed: watch.outputFailed)
      }
    }
  }
}

/// Where results go.
struct OutputOptions: ParsableArguments {
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Write the result to a file: text, or the file that was made; to a new directory when there are several.",
      valueName: "path"), completion: .file())
  var output: String?
}
