import ArgumentParser
import Host
import PluginProtocol

/// `stoker result`.
struct ResultCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "result", abstract: "Fetch a job's result.",
    discussion: """
      Text is printed, or written to the file of -o. Files that the job made are copied, and checked against their SHA-256; \
      without -o their paths are printed. A transcript can be written as txt, json, srt or vtt: --format says which, or the \
      ending of -o.

      EXAMPLES
        stoker result 019c5b7e-24f1
        stoker result 019c5b7e-24f1 -o lighthouse.png
        stoker result 019c5b7e-24f1 --format srt -o talk.srt
        stoker result 019c5b7e-24f1 --wait --json
      """)

  @OptionGroup var global: GlobalOptions
  @Argument(help: "The job.") var id: String
  @OptionGroup var output: OutputOptions
  @Option(
    help: ArgumentHelp("How a transcript is written.", valueName: "txt|json|srt|vtt"),
    completion: .list(TranscriptFormat.allCases.map(\.rawValue)))
  var format: String?
  @Flag(help: "Wait for it; Ctrl-C then cancels the job.") var wait = false

  func run() async throws {
    let transcript = try transcriptFormat()
    if let output = output.output { try ResultWriter.checkPlace(output) }
    let connection = try global.worker()
    let id = try await JobReference.resolve(id, by: connection)
    let runner = JobRunner(
      connection: connection, console: global.console, isJSON: global.json, isQuiet: global.quiet,
      output: output.output, transcript: transcript)
    if wait {
      return try await withSignalWatch { watch in
        try await runner.follow(id, events: watch.events, outputFailed: watch.outputFailed)
      }
    }
    let job = try JobView(try await connection.call("jobs/get", ["id": .string(id)]))
    guard job.isFinished else {
      throw CLIError(
        .failed, class: "not_finished", "job \(id) is \(job.state); wait for it with `stoker result \(id) --wait`")
    }
    try runner.deliver(JobWaiter.Outcome(job: job, wasInterrupted: false, printedText: false))
  }

  /// Which format was asked for. The ending of -o counts for jobs that turn out to be transcripts.
  private func transcriptFormat() throws -> TranscriptFormat? {
    if let format { return TranscriptFormat(rawValue: try TaskFormats.checked(format, .audioSTT)) }
    guard let output = output.output else { return nil }
    return try TaskFormats.adopted(fromOutput: output, .audioSTT).flatMap(TranscriptFormat.init)
  }
}
