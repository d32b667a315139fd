import Foundation
import PluginProtocol
import Testing

@testable import Host

/// A store with a stage for inputs, and a folder for a user's own files; all removed with the test.
struct InputBench {
  let folder: ModelTestFolder
  let store: JobStore
  let stage: InputStage

  static func with(
    options: JobStoreOptions = JobStoreOptions(), isolation: isolated (any Actor)? = #isolation,
    _ change: (inout InputSettings) -> Void = { _ in }, clock: any HostClock = SystemHostClock(),
    _ body: (InputBench) async throws -> Void
  ) async throws {
    let folder = try ModelTestFolder()
    var settings = InputSettings()
    change(&settings)
    try await withJobStore(folder.path + "/data", options: options) { store async throws in
      try await body(
        InputBench(
          folder: folder, store: store, stage: try InputStage(store: store, settings: settings, clock: clock)))
    }
  }

  func submit(
    _ task: JSONValue, coordinator: String = "local", key: String? = nil
  ) async throws -> JobID {
    try await stage.submit(request(task, coordinator: coordinator, key: key)).id
  }

  func request(_ task: JSONValue, coordinator: String = "local", key: String? = nil) -> JobRequest {
    JobRequest(kind: .audioSTT, model: "m", task: task, idempotencyKey: key, coordinator: coordinator)
  }

  /// The refusal of a submission.
  func refusal(_ task: JSONValue, coordinator: String = "local") async -> RPCError? {
    do {
      _ = try await stage.submit(request(task, coordinator: coordinator))
      return nil
    } catch {
      return error
    }
  }

  /// Claims a job and prepares its attempt.
  func attempt(
    _ id: JobID, contentFiles: Bool = true, isCancelled: @escaping @Sendable () -> Bool = { false },
    timeLimit: Duration? = nil, progress: @escaping @Sendable (JobProgress) -> Void = { _ in }
  ) async throws -> (number: Int, work: String, task: PreparedTask) {
    let number = try await store.claim(id, engine: "e", pid: nil)
    let work = try store.artifacts.makeWorkDirectory(id, attempt: number)
    let prepared = try await stage.prepare(
      id, workDirectory: work, contentFiles: contentFiles, attempt: number, timeLimit: timeLimit, progress: progress,
      isCancelled: isCancelled)
    return (number, work, prepared)
  }

  /// The failure of an attempt's preparation.
  func failure(
    _ id: JobID, isCancelled: @escaping @Sendable () -> Bool = { false }, timeLimit: Duration? = nil,
    progress: @escaping @Sendable (JobProgress) -> Void = { _ in }
  ) async -> RPCError? {
    do {
      _ = try await attempt(id, isCancelled: isCancelled, timeLimit: timeLimit, progress: progress)
      return nil
    } catch { return error as? RPCError }
  }

  func inputs(_ id: JobID) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: store.artifacts.inputDirectory(id)))?.sorted() ?? []
  }

  /// What lies below the store's `jobs`.
  var jobDirectories: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/data/jobs")) ?? []
  }
}

func bytes(at path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map { Array($0) } }

func mode(of path: String) throws -> Int? {
  try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
}
