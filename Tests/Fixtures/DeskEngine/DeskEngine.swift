import Glibc
import PluginProtocol

/// An engine for tests of the worker: does what its task says.
///
/// `chunks` (how many), `chunkMs` (pause before each), `delayMs` (before the end), `steps` (reports of progress), `fail`
/// (a failure class), `dieOnAttempt` (ends the process on attempts up to this one). The result names attempt and model.
@main
struct DeskEngine: Engine {
  static func main() async { await EngineMain.run(DeskEngine()) }

  var information: EngineInformation { EngineInformation(name: "desk", version: "1.0.0", concurrency: 2) }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    let fields = try job.taskFields()
    if let last = try fields.int("dieOnAttempt"), job.parameters.attempt <= last {
      try await job.chunk(text: "doomed")
      exit(7)
    }
    for step in 0..<(try fields.int("steps") ?? 0) { job.progress(step: step + 1, stage: "stepping") }
    let pause = try fields.int("chunkMs") ?? 0
    for number in 0..<(try fields.int("chunks") ?? 0) {
      if pause > 0 { try await wait(pause, job) }
      try await job.chunk(text: "\(number) ")
    }
    try await wait(try fields.int("delayMs") ?? 0, job)
    if let name = try fields.string("fail"), let failure = FailureClass(rawValue: name) {
      throw EngineError(failure, "failed as the task asked")
    }
    return JobRunResult(
      output: [
        "attempt": JSONValue(job.parameters.attempt), "model": JSONValue(job.modelID),
        "chunks": fields.value["chunks"] ?? 0,
      ])
  }

  private func wait(_ milliseconds: Int, _ job: EngineJob) async throws {
    for _ in 0..<(milliseconds / 10) {
      try job.checkCancelled()
      try await Task.sleep(for: .milliseconds(10))
    }
    try job.checkCancelled()
  }
}
