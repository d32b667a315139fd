import Foundation
import PluginProtocol
import Testing

@testable import Host

/// A worker's home with the desk engine in it, removed with this object.
final class DeskHome: Sendable {
  let path: String

  init(timeouts: String = "{cancelGrace: 5s}") throws {
    path = NSTemporaryDirectory() + "desk-\(UUID().uuidString.prefix(8))"
    let plugin = path + "/plugins/desk"
    try FileManager.default.createDirectory(atPath: plugin, withIntermediateDirectories: true)
    let manifest = """
      manifest: 1
      name: desk
      version: 1.0.0
      command: [./desk-engine]
      serves:
        - {kind: llm, models: ["desk*"]}
      features: [chunks, progress]
      concurrency: 2
      timeouts: \(timeouts)
      """
    try Data(manifest.utf8).write(to: URL(fileURLWithPath: plugin + "/plugin.yaml"))
    try FileManager.default.copyItem(atPath: DeskHome.product("desk-engine"), toPath: plugin + "/desk-engine")
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// A program that was built beside the tests.
  static func product(_ name: String) -> String {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return FilePath.join(FilePath.parent(tests), name)
  }

  /// One life of a worker in this home; it is told to stop, twice, when `body` returns.
  func life(
    _ coordinators: [(coordinator: any Coordinator, maxJobs: Int)],
    _ change: (inout HostConfiguration) -> Void = { _ in },
    _ body: @escaping (Worker) async throws -> Void
  ) async throws {
    let path = try FilePath.resolve(path).get()
    let environment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "STOKER_LAUNCH": DeskHome.product("launch")]
    var configuration = HostConfiguration()
    change(&configuration)
    var options = WorkerOptions(
      layout: try HomeLayout.find(
        .init(home: path, environment: environment, workingDirectory: path, executable: path + "/none/bin/stoker")),
      configuration: configuration, environment: environment, version: "0.0.0-test", isDaemon: false,
      log: HostLog(output: nil, threshold: .debug))
    options.coordinators = coordinators
    let worker = try Worker(options)
    let ready = Nap()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await worker.run(ready: { ready.wake() }) }
      await ready.rest(.seconds(30))
      do {
        try await body(worker)
      } catch {
        Issue.record("the host's log:\n\(worker.log.recent(60).map(\.text).joined(separator: "\n"))")
        throw error
      }
      worker.requestStop()
      worker.requestStop()
      try await group.next()
    }
  }
}

func deskOffer(_ remoteID: String, model: String = "desk-1", priority: Int = 0, _ task: JSONValue = [:]) -> JobOffer {
  JobOffer(remoteID: remoteID, kind: .llm, model: model, task: task, priority: priority)
}

extension OfferAnswer {
  var job: JobID? { if case .accepted(let id) = self { id } else { nil } }
  var code: Rejection.Code? { if case .rejected(let rejection) = self { rejection.code } else { nil } }
}
