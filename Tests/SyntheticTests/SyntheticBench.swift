import Foundation
import PluginProtocol
import WireTestSupport

/// The real synthetic engine, greeted, with a work directory for each job.
struct SyntheticBench {
  let engine: ExecutableEngine
  let directory: TemporaryDirectory

  /// Starts the engine, hands it to `body`, and asks it to shut down.
  static func use(_ body: (SyntheticBench) async throws -> Void) async throws {
    let bench = SyntheticBench(
      engine: try ExecutableEngine(Tool.built("synthetic-engine")), directory: try TemporaryDirectory())
    _ = try await bench.host.greet()
    try await body(bench)
    _ = try await bench.host.call(Method.shutdown)
    _ = await bench.engine.process.ended()
  }

  var host: WireClient { engine.client }

  /// Sends a job with a new work directory; the job's id is the directory's name.
  func start(
    _ kind: String, _ task: JSONValue, model: String? = "synthetic", id: String = UUID().uuidString,
    credit: Int = 100_000
  ) throws -> RequestID {
    let work = "\(directory.path)/\(id)"
    try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false)
    return host.run(kind, task, model: model, id: id, directory: work, credit: credit)
  }

  /// What a job has given, with its only artifact read and checked against its declaration.
  struct Outcome {
    let result: JobRunResult
    let path: String
    let bytes: [UInt8]
  }

  /// Runs a job to its end.
  func run(_ kind: String, _ task: JSONValue, model: String? = "synthetic") async throws -> Outcome {
    let id = UUID().uuidString
    let result = try JobRunResult(try await host.answer(to: try start(kind, task, model: model, id: id)))
    guard let artifact = result.artifacts.first else { return Outcome(result: result, path: "", bytes: []) }
    let path = "\(directory.path)/\(id)/\(artifact.name)"
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    let sum = try await Tool.run(["sha256sum", path]).stdout.prefix(64)
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(directory.path)/\(id)")
    guard result.artifacts.count == 1, names == [artifact.name], UInt64(bytes.count) == artifact.bytes,
      artifact.sha256 == String(sum)
    else { throw WireClient.Ended(description: "the declaration \(artifact.json.text) does not hold for \(path)") }
    return Outcome(result: result, path: path, bytes: bytes)
  }

  /// Runs a job that must fail.
  func failure(_ kind: String, _ task: JSONValue, model: String? = "synthetic") async throws -> RPCError {
    try await host.failure(of: try start(kind, task, model: model))
  }
}
