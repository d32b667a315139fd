import Host
import PluginProtocol

/// Submits a job, and, when it is to be waited for, ends with its result.
struct JobRunner: Sendable {
  let connection: any WorkerConnection
  let console: Console
  var isJSON = false
  var isQuiet = false
  /// Text is printed as it comes.
  var streams = false
  /// Where the result goes instead of stdout.
  var output: String?
  /// How a transcript is written; nil as text.
  var transcript: TranscriptFormat?
  var outlivesProgram = true

  /// Submits and returns the job without waiting for it.
  func submit(_ params: JSONValue) async throws -> JobView {
    let answer = try await connection.call("jobs/submit", params)
    let job = try JobView(answer)
    if answer["existing"]?.bool == true, console.isErrorTerminal, !isQuiet {
      console.note("stoker: job \(job.id) was submitted before with this key")
    }
    return job
  }

  /// Uploads what has to be, and submits. A signal ends the upload at once.
  func submit(_ request: JobSubmission, _ watch: SignalWatch) async throws -> JobView {
    let uploader = Uploader(connection: connection, console: console, isQuiet: isQuiet || isJSON)
    guard uploader.isNeeded(request) else { return try await submit(request.params) }
    return try await submit(try await watch.endedBySignal { try await uploader.prepare(request) })
  }

  /// Submits, waits, and delivers. Ctrl-C between the two still cancels the job.
  func run(_ request: JobSubmission) async throws {
    try await withSignalWatch { watch in
      let job = try await submit(request, watch)
      try await follow(job.id, events: watch.events, outputFailed: watch.outputFailed)
    }
  }

  /// Waits for a job that exists, and delivers its result.
  func follow(
    _ id: String, events: AsyncStream<SignalWatch.Event>, outputFailed: @escaping @Sendable (any Error) -> Void
  ) async throws {
    let mode: JobEventPrinter.Mode = streams ? (isJSON ? .jsonLines : .text) : .quietly
    let waiter = JobWaiter(
      connection: connection, console: console,
      printer: JobEventPrinter(console: console, mode: mode, isQuiet: isQuiet), outlivesProgram: outlivesProgram)
    let outcome: JobWaiter.Outcome
    do {
      outcome = try await waiter.wait(for: id, chunks: streams, events: events, outputFailed: outputFailed)
    } catch ControlError.disconnected(let path) {
      throw CLIError(
        .noWorker, class: "no_worker",
        "the worker at \(path) stopped while job \(id) was under way; the job is kept, and goes on when it runs again")
    }
    try deliver(outcome)
  }

  /// Prints or writes a finished job's result, and says how it went.
  func deliver(_ outcome: JobWaiter.Outcome) throws {
    let job = try outcome.job.withWholeResult()
    // Only a transcript is written as one.
    let transcript = job.kind == JobKind.audioSTT.rawValue ? transcript : nil
    var place: String?
    if job.state == "succeeded" {
      if let output {
        let writer = ResultWriter(job: job, asJSON: isJSON && job.artifacts.isEmpty, transcript: transcript)
        place = "written to \(try writer.write(to: output))"
      } else if !isJSON, !outcome.printedText {
        try printResult(job, transcript)
      }
    }
    if isJSON { try streams ? console.jsonLine(["type": "result", "job": job.json]) : console.json(job.json) }
    guard var failure = job.failure else {
      if console.isErrorTerminal, !isQuiet, !isJSON { console.note(job.summary(place: place)) }
      return
    }
    failure.status = job.status(cancelledByUser: outcome.wasInterrupted)
    // The job that was printed says it all.
    failure.isReported = isJSON
    // What engines and tools said is for faults of theirs; `stoker jobs ID` has it in any case.
    if !isJSON, failure.errorClass != "bad_input" { for line in job.evidence { console.note("  \(line)") } }
    throw failure
  }

  private func printResult(_ job: JobView, _ transcript: TranscriptFormat?) throws {
    if let transcript {
      return try console.line(console.shown(try transcript.text(of: job.json["result"] ?? .object([:]))))
    }
    if let text = job.text { return try console.line(console.shown(text)) }
    guard !job.artifacts.isEmpty else { return try console.json(job.json["result"] ?? .object([:])) }
    for artifact in job.artifacts { try console.line(console.shown(artifact["path"]?.string ?? "")) }
  }
}
