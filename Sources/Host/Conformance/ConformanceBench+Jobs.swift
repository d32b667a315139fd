import Crypto
import Glibc
import PluginProtocol

/// A job that an engine has been given.
struct RunningJob {
  let id: String
  let attempt: Int
  let request: Int64
  let kind: JobKind
  /// Its work directory.
  let directory: String
}

extension ConformanceBench {
  /// Longest time that one job of a check gets.
  var jobPatience: Duration { .seconds(20) * scale }

  /// The job that the engine has done before.
  func provenJob() throws -> (job: ConformanceJob, model: ModelReference?) {
    guard let first = proven.first else { throw ConformanceStop.skip("no job of this plugin could be run") }
    return first
  }

  /// Loads the model where the engine keeps models, and unloads another one first.
  func prepare(_ engine: RawEngine, _ model: ModelReference?) throws {
    guard has(.modelResidency, engine), let model, engine.loaded != model.id else { return }
    if let other = engine.loaded {
      _ = try engine.result(
        engine.request(Method.modelUnload, ["model": ["id": .string(other)]]), to: "model/unload",
        within: jobPatience)
      engine.loaded = nil
    }
    _ = try engine.result(
      engine.request(Method.modelLoad, ["model": model.json]), to: "model/load", within: .seconds(30) * scale)
    engine.loaded = model.id
  }

  /// Gives the engine a job.
  ///
  /// - Parameters:
  ///   - id, attempt: nil for a job that is new.
  ///   - change: alters the params before they are sent.
  func start(
    _ engine: RawEngine, _ job: ConformanceJob, _ model: ModelReference?, id: String? = nil, attempt: Int = 1,
    credit: Int? = defaultChunkCredit, change: (inout [String: JSONValue], String) throws -> Void = { _, _ in }
  ) throws -> RunningJob {
    let id = id ?? nextJobID()
    let directory = FilePath.join(directories.work, "\(id).\(attempt)")
    guard mkdir(directory, 0o700) == 0 else {
      throw HomeError(path: directory, problem: "cannot create \(directory): \(errorText(errno))")
    }
    workDirectories.append(directory)
    var task = job.task.object ?? [:]
    var inputs: [String: [JobInput]] = [:]
    for input in job.inputs {
      let path = FilePath.join(directory, input.name)
      try ConformanceFiles.write(input.bytes, to: path)
      let url = JSONValue.string(FileURL.text(path: path))
      let digest = SHA256.hash(data: Array(path.utf8)).hexText
      let entry = JobInput(
        name: input.name, contentType: input.contentType, bytes: UInt64(input.bytes.count), urlSHA256: digest)
      inputs[input.member, default: []].append(entry)
      let isList = input.member.hasSuffix(JobInput.listSuffix)
      task[input.member] = isList ? .array((task[input.member]?.array ?? []) + [url]) : url
    }
    var members =
      JobRunParameters(
        jobID: id, attempt: attempt, kind: job.kind.rawValue, model: model, task: .object(task), inputs: inputs,
        workDirectory: directory, deadlineSeconds: 600,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
      ).json.object ?? [:]
    members["credit"] = credit.map { JSONValue($0) }
    try change(&members, directory)
    let request = engine.request(Method.jobRun, .object(members))
    return RunningJob(id: id, attempt: attempt, request: request, kind: job.kind, directory: directory)
  }

  /// The answer of a job, with more credit as it is used up. What it says is judged by the rules for results.
  func finish(_ running: RunningJob, on engine: RawEngine, within time: Duration? = nil) throws
    -> ProtocolWatch.Answer
  {
    let time = time ?? jobPatience
    defer { FileTree.remove(running.directory) }
    var granted = engine.watch.jobs[running.id]?.through ?? 0
    let isDone = {
      if let job = engine.watch.jobs[running.id], self.has(.chunks, engine), job.lastSeq >= granted - 16, !job.hasEnded
      {
        granted = job.lastSeq + Int64(defaultChunkCredit)
        engine.notify(Method.jobCredit, ["jobId": .string(running.id), "through": .int(granted)])
      }
      return engine.answers[running.request] != nil || (engine.exit != nil && !engine.isOutputOpen)
    }
    try engine.wait(time, until: isDone)
    let answer = try engine.answer(
      running.request, to: "job/run (\(running.kind.rawValue))", within: .zero, given: time)
    if case .result(let result) = answer { judge(result, of: running, on: engine) }
    return answer
  }

  /// Runs a job to its result.
  @discardableResult
  func complete(
    _ engine: RawEngine, _ job: ConformanceJob, _ model: ModelReference?, credit: Int? = defaultChunkCredit,
    change: (inout [String: JSONValue], String) throws -> Void = { _, _ in }
  ) throws -> (running: RunningJob, result: JSONValue) {
    try prepare(engine, model)
    let running = try start(engine, job, model, credit: credit, change: change)
    switch try finish(running, on: engine) {
    case .result(let result): return (running, result)
    case .failure(let error):
      throw ConformanceFault(
        expected: "a result of the \(job.kind.cliName) job", got: "error \(error.code): \(error.message)",
        advice: "answer a job that the engine has done before, and can do, with a result")
    }
  }

  /// Runs the proven job once more, on the engine.
  @discardableResult
  func completeProven(_ engine: RawEngine) throws -> (running: RunningJob, result: JSONValue) {
    let (job, model) = try provenJob()
    return try complete(engine, job, model)
  }
}
