import PluginProtocol

/// Makes a job take its time: waits, reports steps and streams pieces, and stops when the job is cancelled.
struct Pacer<C: Clock>: Sendable where C.Duration == Duration {
  /// The longest wait between two looks at the job's cancel flag.
  static var slice: Duration { .milliseconds(20) }
  /// Within a long step, progress is reported this often, so that the host sees that the job lives.
  static var pulse: Duration { .seconds(5) }

  let clock: C
  let options: TrialOptions

  /// Throws `cancelled` at most one slice after the cancel.
  func run(_ job: EngineJob, pieces: [String]) async throws {
    let start = clock.now
    var sent = 0
    for step in 1...options.steps {
      try await wait(job, from: start, until: options.delay * (Double(step) / Double(options.steps)), step: step)
      if options.reportsSteps {
        job.progress(fraction: Double(step) / Double(options.steps), step: step, steps: options.steps)
      }
      let due = pieces.count * step / options.steps
      for piece in pieces[sent..<due] { try await job.chunk(text: piece) }
      sent = due
    }
    try job.checkCancelled()
  }

  private func wait(_ job: EngineJob, from start: C.Instant, until end: Duration, step: Int) async throws {
    var reported = start.duration(to: clock.now)
    while true {
      try job.checkCancelled()
      let passed = start.duration(to: clock.now)
      guard passed < end else { return }
      if passed - reported >= Self.pulse {
        job.progress(fraction: passed / options.delay, step: step - 1, steps: options.steps)
        reported = passed
      }
      try await clock.sleep(for: min(Self.slice, end - passed))
    }
  }
}
