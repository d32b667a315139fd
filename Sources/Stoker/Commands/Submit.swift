import ArgumentParser

/// `stoker submit`.
struct SubmitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Give the running worker a job.",
    discussion: """
      Prints the job's id. With --wait it prints the result instead, once there is one; with --stream the text as it comes; \
      with -o the result goes to a file. While it waits, Ctrl-C cancels the job; a third Ctrl-C leaves without its end.

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
        stoker submit llm --prompt "Why is the sky blue?" --stream
        stoker submit llm --messages chat.json --max-tokens 200 --wait --json
        stoker submit image --prompt "A lighthouse at dawn" --width 768 -o lighthouse.png
        stoker submit stt --file interview.mp3 -o interview.srt
        stoker submit stt --file - --language en --wait < call.wav
        stoker submit video --model ffmpeg:slideshow --image one.jpg --image two.jpg --seconds 6 -o show.mp4
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
    let request = try task.request(writingTo: output.output)
    if stream { try request.refuseStreaming() }
    let runner = JobRunner(
      connection: try global.worker(), console: global.console, isJSON: global.json, isQuiet: global.quiet,
      streams: stream, output: output.output, transcript: request.transcript)
    if wait || stream || output.output != nil {
      return try await runner.run(request)
    }
    let job = try await withSignalWatch { watch in try await runner.submit(request, watch) }
    // One that was submitted before may have ended.
    if global.json { try global.console.json(try job.withWholeResult().json) } else { try global.console.line(job.id) }
  }
}
