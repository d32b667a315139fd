import Foundation
import Testing

@testable import Host

@Suite struct LeftoversTests {
  private func names(_ directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory)
  }

  @Test func aMonitorIsRecordedWhileItLives() async throws {
    try await withProcessDirectory { directory in
      let engine = try await EngineUnderTest.start(["sleep", "600"], leftovers: Leftovers(directory: directory))
      let monitor = engine.process.monitorPID
      let entry = try #require(ProcessTable.entry(monitor))
      #expect(try names(directory) == ["\(monitor).\(entry.startTime).\(ProcessTable.bootID() ?? "")"])
      try await engine.finish()
      #expect(try names(directory) == [])
    }
  }

  @Test(arguments: [false, true]) func monitorsOfAFormerLifeAreEndedWithTheirEngines(stopped: Bool) async throws {
    try await withProcessDirectory { directory in
      let leftovers = try Leftovers(directory: directory)
      let engine = try await EngineUnderTest.start(["sleep", "600"], leftovers: leftovers)
      let monitor = engine.process.monitorPID
      let watched = try Watched([try await engine.started(), monitor])
      if stopped { kill(monitor, SIGSTOP) }
      let report = try await offPool { leftovers.sweep(within: .seconds(20)) }
      #expect(report == Leftovers.Report(ended: [monitor], left: [], stale: 0))
      _ = try await watched.gone()
      #expect(try names(directory) == [])
      #expect(engine.process.reapMonitor() == .exited(0))
    }
  }

  @Test func aStrangerWithTheSameNumberIsSpared() async throws {
    try await withProcessDirectory { directory in
      let stranger = try await EngineUnderTest.start(["sleep", "600"])
      let monitor = stranger.process.monitorPID
      let watched = try Watched([try await stranger.started(), monitor])
      let entry = try #require(ProcessTable.entry(monitor))
      let boot = try #require(ProcessTable.bootID())
      let records = [
        "\(monitor).\(entry.startTime + 1).\(boot)", "\(monitor).\(entry.startTime).another-boot", "1.0.\(boot)",
        "0.0.\(boot)", "-1.0.\(boot)",
      ]
      for name in records { try Data().write(to: URL(filePath: "\(directory)/\(name)")) }
      for name in ["notes.txt", "\(monitor)", "a.b.c"] {
        try Data().write(to: URL(filePath: "\(directory)/\(name)"))
      }
      let report = try Leftovers(directory: directory).sweep()
      #expect(report == Leftovers.Report(ended: [], left: [], stale: 2))
      #expect(watched.allAlive)
      #expect(Set(try names(directory)) == Set(records[2...] + ["notes.txt", "\(monitor)", "a.b.c"]))
      try await stranger.finish()
    }
  }

  @Test func aDirectoryThatCannotBeMadeIsNamed() {
    let error = #expect(throws: SpawnError.self) { try Leftovers(directory: "/nowhere/at/all") }
    #expect(error?.description.contains("/nowhere/at/all") == true)
  }
}
