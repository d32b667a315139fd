import Foundation
import Glibc
import Host
import PluginProtocol
import Testing

/// All tests of this target, one after another: they measure time, and each has a worker and engines of its own.
@Suite(.serialized) enum FaultMatrix {}

extension FaultMatrix {
  /// Engines that die, in every way.
  @Suite struct EngineDeath {
    @Test func aJobThatKillsTwoEnginesIsPoison() async throws {
      try await withFaultRow("F43") { row in
        let job = try await row.host.finished(try await row.host.submit(row.chaos, ["mode": "abort", "times": 99]))
        #expect(job.state == "failed" && job.errorClass == "engine_fault" && job.attempts.count == 2, "\(job)")
        // The evidence is the last words of both processes.
        #expect(job.evidence.ranges(of: "chaos: assertion failed").count == 2, "\(job)")
        _ = try await row.engine()
      }
    }

    @Test func manyCrashesLeaveNothing() async throws {
      let configuration = "restart: {firstDelay: 1ms, maxDelay: 1ms, quarantineFailures: 1000}"
      try await withFaultRow("requirement 35", configuration: configuration) { row in
        let start = SystemHostClock().now()
        var ids: [String] = []
        for _ in 0..<60 { ids.append(try await row.host.submit(row.chaos, ["mode": "abort", "litter": 1])) }
        for id in ids {
          let job = try await row.host.finished(id)
          #expect(job.state == "succeeded" && job.outcomes == ["lost", "succeeded"], "\(job)")
        }
        let took = start.duration(to: SystemHostClock().now())
        print("measured requirement 35 60 crashes: \(took.short)")
      }
    }

    @Test func f35AGrandchildKeepsThePipes() async throws {
      try await withFaultRow("F35") { row in
        let log = row.home.path + "/runs"
        let id = try await row.host.submit(row.chaos, ["mode": "holder", "log": .string(log)])
        try await until("the engine's work") { FileManager.default.fileExists(atPath: log) }
        let (lost, after) = try await row.host.seen("the lost attempt", id) { $0.outcomes.first == "lost" }
        row.measured("death seen", after, bound: .milliseconds(100))
        #expect(lost.firstLoss.contains("status 3"), "\(lost)")
        let gone = try await until("the grandchild's end") { Census.family(of: row.home).count <= 2 }
        row.measured("pipes given up, grandchild gone", after + gone, bound: .milliseconds(600))
        let job = try await row.host.finished(id)
        #expect(job.state == "succeeded" && job.outcomes == ["lost", "succeeded"], "\(job)")
      }
    }

    @Test(arguments: ["escape", "family"]) func f36AGrandchildThatHides(mode: String) async throws {
      try await withFaultRow("F36 \(mode)") { row in
        let log = row.home.path + "/runs"
        let id = try await row.host.submit(row.chaos, ["mode": .string(mode), "log": .string(log)])
        try await until("the engine's work") { FileManager.default.fileExists(atPath: log) }
        if mode == "family" {
          // Two engines with monitors, and the two that have fled.
          try await until("the flight") { Census.family(of: row.home).count == 6 }
          kill(try await row.engine(), SIGKILL)
        }
        let gone = try await until("the end of all descendants") { Census.family(of: row.home).count <= 2 }
        row.measured("none left", gone, bound: .seconds(10))
        let job = try await row.host.finished(id)
        #expect(job.state == "succeeded" && job.outcomes == ["lost", "succeeded"], "\(job)")
      }
    }
  }

  /// Engines that live and do not what they should.
  @Suite struct EngineSilence {
    @Test func f11ExitsAtOnce() async throws {
      try await withFaultRow(
        "F11", ChaosPlugin(arguments: ["--litter", "--early"]),
        configuration: "restart: {firstDelay: 100ms, quarantineFailures: 3}", warm: false, engines: 1
      ) { row in
        let id = try await row.host.submit(row.chaos)
        let diagnosed = try await until("the diagnosis") {
          row.home.hostLog.contains("status 7") && row.home.hostLog.contains("chaos: no licence for this machine")
        }
        row.measured("diagnosed", diagnosed, bound: .seconds(1))
        let (job, after) = try await until("the verdict") {
          let job = try await row.host.job(id)
          return job.isTerminal ? job : nil
        }
        // Three starts with two waits between them, of 100 and 200 ms, a quarter less at the least.
        #expect(diagnosed + after >= .milliseconds(150), "there was no backoff")
        #expect(job.state == "failed" && job.errorClass == "no_engine", "\(job)")
        #expect(job.errorMessage.contains("status 7"), "\(job)")
        #expect(try await row.host.plugin(row.chaos.name)?["state"]?.string == "quarantined")
        #expect(row.home.hostLog.ranges(of: "chaos: no licence").count >= 3)
        row.expectLog("quarantined")
      }
    }

    @Test func tenantsOfAKilledEngineAreNotBlamed() async throws {
      let plugin = ChaosPlugin(timeouts: "{cancelGrace: 200ms, shutdown: 500ms}", concurrency: 2)
      try await withFaultRow("F28 tenant", plugin) { row in
        // It outlives three processes that were killed for the sake of others: more than a job to blame is given.
        let tenant = try await row.running(["mode": "hang", "times": 3])
        for round in 1...3 {
          try await row.host.seen("attempt \(round)", tenant) { $0.state == "running" && $0.attempts.count == round }
          let deaf = try await row.running(["mode": "deaf"])
          _ = try await row.host.call("jobs/cancel", ["id": .string(deaf)])
          #expect(try await row.host.finished(deaf).state == "cancelled")
        }
        let job = try await row.host.finished(tenant)
        #expect(job.state == "succeeded" && job.outcomes == ["lost", "lost", "lost", "succeeded"], "\(job)")
      }
    }

    @Test func tenantsOfAStalledEngineAreNotBlamed() async throws {
      let plugin = ChaosPlugin(timeouts: "{jobStall: 700ms, shutdown: 500ms}", concurrency: 2)
      try await withFaultRow("F7", plugin) { row in
        let stalled = try await row.running(["mode": "hang"])
        try await Task.sleep(for: .milliseconds(300))
        // On its way, with time left, when the process is killed for the other's stall.
        let tenant = try await row.host.submit(row.chaos, ["mode": "hang"])
        let job = try await row.host.finished(tenant)
        #expect(job.state == "succeeded" && job.outcomes == ["lost", "succeeded"], "\(job)")
        #expect(job.firstLoss.contains("job \(stalled) made no progress"), "\(job)")
        #expect(try await row.host.finished(stalled).state == "succeeded")
      }
    }
  }
}
