import ArgumentParser

/// `stoker exec`.
struct ExecCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exec", abstract: "Run one job with no worker left behind.",
    discussion: """
      Starts a worker in this process for one job, and stops it, its engines included, when the job has ended. Text is \
      printed as it comes when stdout is a terminal. Ctrl-C cancels the job.

      INPUTS
        A file is named by its path, and read by the worker where it lies; a URL (https, data:, http of this machine) is \
      fetched by the worker; - uploads stdin. What does not exist is refused before anything is submitted.

      FORMATS
        image  png, jpg, webp
        video  mp4, webm, gif, webp
        tts    wav; mp3, ogg, opus and flac where the engine makes them
        stt    txt, json, srt, vtt: how the transcript is written
        --format says which; without it the ending of -o does.

      EXAMPLES
        stoker exec llm --prompt "Why is the sky blue?"
        stoker exec tts --text "Good morning" -o morning.wav
        stoker exec stt --file talk.wav --format vtt
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
    let request = try task.request(writingTo: output.output)
    if stream == true { try request.refuseStreaming() }
    let options = try local.worker(global)
    let console = global.console
    let streams =
      stream ?? (console.isOutputTerminal && !global.json && output.output == nil && !request.isMadeAtTheEnd)
    let (isJSON, isQuiet, path) = (global.json, global.quiet, output.output)
    // Watched from before the worker starts, so that Ctrl-C never leaves engines behind.
    try await withSignalWatch { watch in
      try await HostWorkerFactory().ephemeral(options) { connection in
        let runner = JobRunner(
          connection: connection, console: console, isJSON: isJSON, isQuiet: isQuiet, streams: streams, output: path,
          transcript: request.transcript, outlivesProgram: false)
        let job = try await runner.submit(request, watch)
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
