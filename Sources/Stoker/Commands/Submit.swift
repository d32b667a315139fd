import ArgumentParser

/// `stoker submit`.
struct SubmitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Give the running worker a job.",
    discussion: """
      Prints the job's id. With --wait it prints the result instead, once there is one; with --stream the text as it comes; \
      with -o the result goes to a file. While it waits, Ctrl-C cancels the job; a third Ctrl-C leaves without its end.

      EXAMPLES
        stoker submit llm --prompt "Why is the sky blue?" --stream
        stoker submit llm --messages chat.json --max-tokens 200 --wait --json
        stoker submit image --prompt "A lighthouse at dawn" --width 768 -o lighthouse.png
        stoker submit stt --file interview.wav -o interview.txt
        stoker submit --job job.json --idempotency-key nightly-42
      """)

  @OptionGroup var global: GlobalOptions
  @OptionGroup(title: "Job") var task: TaskOptions
  @Flag(help: "Wait for the result.")
  var wait = false
  @Flag(help: "Wait, and print text as it comes; with --json every event as a line.")
  var stream = false
  @OptionGroup(title: "Result") var output: OutputOptions

  func run() async throws {
    let (_, params) = try task.request(writingTo: output.output)
    let runner = JobRunner(
      connection: try global.worker(), console: global.console, isJSON: global.json, isQuiet: global.quiet,
      streams: stream, output: output.output)
    if wait || stream || output.output != nil {
      return try await runner.run(params)
    }
    let job = try await runner.submit(params)
    if global.json { try global.console.json(job.json) } else { try global.console.line(job.id) }
  }
}
