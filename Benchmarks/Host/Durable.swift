import Foundation
import Host
import PluginProtocol

/// Durable jobs a second: submit, SQLite, engine, result, with eight in flight.
struct Durable {
  private let around: Surroundings
  private static let jobs = 8000
  private static let lanes = 8

  init(_ around: Surroundings) { self.around = around }

  func run() async throws {
    let home = "\(around.directory)/durable"
    try install(home)
    var layout = try HomeLayout.find(
      .init(
        home: home, plugins: [], environment: ["PATH": "/usr/bin:/bin"], workingDirectory: "/",
        executable: around.product("stoker")))
    layout.launcher = around.product("launch")
    layout.pluginDirectories = [PluginDirectory(path: "\(home)/plugins", origin: .home)]
    let worker = try Worker(
      WorkerOptions(
        layout: layout, configuration: HostConfiguration(), environment: ["PATH": "/usr/bin:/bin"], version: "bench",
        isDaemon: false, log: HostLog(output: nil)))
    let control = WorkerControl(worker)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await worker.run() }
      try await measure(control)
      worker.requestStop()
      try await group.waitForAll()
    }
  }

  private func measure(_ control: WorkerControl) async throws {
    // The first job starts the engine; the plugin is in service when it is accepted.
    let deadline = ContinuousClock.now.advanced(by: .seconds(20))
    while true {
      do {
        try await one(control)
        break
      } catch {
        guard ContinuousClock.now < deadline else { throw error }
        await Task.yield()
      }
    }
    let before = try await control.handle("status", [:], ControlEvents { _ in })
    let start = ContinuousClock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<Durable.lanes {
        group.addTask {
          for _ in 0..<(Durable.jobs / Durable.lanes) { try await self.one(control) }
        }
      }
      try await group.waitForAll()
    }
    let seconds = Double(start.duration(to: .now).saturatedNanoseconds) / 1e9
    let after = try await control.handle("status", [:], ControlEvents { _ in })
    let commits = (after["store"]?["commits"]?.int ?? 0) - (before["store"]?["commits"]?.int ?? 0)
    let sync = ((after["store"]?["fsyncSeconds"]?.double ?? 0) - (before["store"]?["fsyncSeconds"]?.double ?? 0))
    print("Durable jobs: submit, SQLite, engine, result; \(Durable.lanes) in flight, \(Durable.jobs) jobs")
    row("jobs a second", text(Double(Durable.jobs) / seconds, 0), "bar: 2000")
    row("commits a job", text(Double(commits) / Double(Durable.jobs), 2))
    row("share of the time in fsync", text(100 * sync / seconds, 0) + " %")
    print("")
  }

  private func one(_ control: WorkerControl) async throws {
    let answer = try await control.handle(
      "jobs/submit", ["kind": "llm", "model": "noop", "task": ["messages": []]], ControlEvents { _ in })
    guard let id = answer["job"]?["id"]?.string else { throw BenchFailure(description: "no id") }
    let end = try await control.handle("jobs/watch", ["id": .string(id)], ControlEvents { _ in })
    guard end["job"]?["state"]?.string == "succeeded" else { throw BenchFailure(description: end.text) }
  }

  private func install(_ home: String) throws {
    let plugin = "\(home)/plugins/noop"
    try FileManager.default.createDirectory(atPath: plugin, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: around.product("noop-engine"), toPath: "\(plugin)/noop-engine")
    let manifest = """
      manifest: 1
      name: noop
      version: "1"
      command: [./noop-engine]
      protocol: [1]
      serves: [{kind: llm, models: [noop]}]
      concurrency: 8

      """
    try manifest.write(toFile: "\(plugin)/plugin.yaml", atomically: true, encoding: .utf8)
  }
}
