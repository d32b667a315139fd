import Glibc
import PluginProtocol
import Synchronization
import WireTestSupport

/// An engine that does what the task's `do` says, with nothing that sleeps.
final class ScriptedEngine: Engine {
  private let noted = Mutex<[String]>([])
  private let keptJobs = Mutex<[EngineJob]>([])
  private let lineBytes: Int?

  init(lineBytes: Int? = nil) { self.lineBytes = lineBytes }

  /// What has been called, in order.
  var calls: [String] { noted.withLock { $0 } }
  /// Jobs of "keep", to be misused after they have returned.
  var kept: [EngineJob] { keptJobs.withLock { $0 } }

  private func note(_ call: String) { noted.withLock { $0.append(call) } }

  var information: EngineInformation {
    EngineInformation(
      name: "scripted", version: "1.2.3", features: [.chunks, .progress, .modelResidency], concurrency: 16,
      lineBytes: lineBytes)
  }

  func initialize(_ parameters: InitializeParameters) async throws -> [String]? {
    note("initialize")
    if parameters.config["refuse"] != nil { throw EngineError(.resource, "no device") }
    return ["scripted-*"]
  }

  func load(_ model: ModelReference, progress: ModelProgressReporter) async throws -> ModelLoadResult {
    progress.report(fraction: 0.5, message: "half")
    if model.id == "broken" { throw EngineError(.badInput, "not a model", evidence: "magic 00") }
    return ModelLoadResult(memoryBytes: 42)
  }

  func unload(_ modelID: String) async throws { note("unload \(modelID)") }

  func shutdown() async { note("shutdown") }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    defer { note("ended \(job.id)") }
    let fields = try job.taskFields()
    switch try fields.requiredString("do") {
    case "chunks":
      // Waits wherever the credit ends.
      for index in 1...(try fields.requiredInt("count")) { try await job.chunk(text: "\(index) ") }
      return JobRunResult(output: ["text": "done"])
    case "swallow cancel":
      job.progress(stage: "waiting")
      do { try await job.chunk(text: "never") } catch {}
      return JobRunResult(output: ["cancelled": .bool(job.isCancelled)])
    case "big":
      let bytes = try fields.requiredInt("bytes")
      return JobRunResult(output: ["text": .string(String(repeating: "\(job.id.last ?? "x")", count: bytes))])
    case "inputs":
      let one = try job.requiredInput("inputUrl")
      let many = try job.inputs("imageUrls")
      return JobRunResult(
        output: [
          "path": .string(one.path), "hash": JSONValue(one.description?.urlSHA256),
          "paths": JSONValue(many.map(\.path)), "types": JSONValue(many.compactMap { $0.description?.contentType }),
        ])
    case "keep":
      keptJobs.withLock { $0.append(job) }
      job.progress(step: 1)
      return JobRunResult()
    case "fail":
      let name = try fields.requiredString("class")
      guard let failure = FailureClass(rawValue: name) else { throw CancellationError() }
      throw EngineError(failure, "failed as told", evidence: "e")
    case "fault":
      struct Broken: Error {}
      throw Broken()
    case let other:
      throw EngineError(.badInput, "no such thing as \(other)")
    }
  }
}

extension WireClient {
  /// Shakes hands as a host that lacks a feature.
  func greet(without feature: Feature) async throws {
    guard case .object(var hello) = WireClient.hello() else { return }
    hello["features"] = JSONValue(Feature.allCases.filter { $0 != feature }.map(\.rawValue))
    _ = try await call(Method.initialize, .object(hello))
  }
}

/// Serves an engine over real pipes for as long as `body` runs, then closes its input. Returns how serving ended.
@discardableResult
func serving<E: Engine>(_ engine: E, _ body: (WireClient) async throws -> Void) async throws
  -> EngineServer<E>.Ending
{
  let toEngine = TestPipe()
  let fromEngine = TestPipe()
  let client = WireClient(input: dup(fromEngine.readEnd), output: dup(toEngine.writeEnd))
  toEngine.closeWriteEnd()
  let server = EngineServer(engine, input: toEngine.readEnd, output: fromEngine.writeEnd)
  async let ending = server.run()
  do {
    defer { client.closeOutput() }
    try await body(client)
  }
  let result = await ending
  fromEngine.closeWriteEnd()
  return result
}
