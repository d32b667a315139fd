import Foundation
import Glibc
import Host
import PluginProtocol
import Testing

extension FaultMatrix {
  /// The host dies, or is told to.
  @Suite struct HostDeath {
    @Test func f40KilledWithFourBusyEngines() async throws {
      try await withTestHome { home in
        let plugins = ["first", "second", "third", "fourth"].map { ChaosPlugin(name: $0) }
        for plugin in plugins { try home.install(plugin) }
        var host = try await HostUnderTest.start(home)
        var ids: [String] = []
        for plugin in plugins {
          // The last one has descendants that hide.
          ids.append(try await host.submit(plugin, ["mode": plugin.name == "fourth" ? "family" : "hang", "litter": 1]))
        }
        for id in ids { try await host.seen("the start", id) { $0.state == "running" } }
        try await until("four engines with monitors, and two that fled") { Census.family(of: home).count == 10 }
        // One monitor is stopped: it cannot see the host's death, so what it guards is for the next start to end.
        let held = try #require(try await host.engine("first"))
        let monitor = try #require(ProcessTable.entry(held)).parent
        kill(monitor, SIGSTOP)
        try await host.killAtOnce()
        let gone = try await until("the engines' end") {
          Set(Census.family(of: home)).subtracting([held, monitor]).isEmpty
        }
        measured("F40", "engines and descendants gone", gone, bound: .seconds(2))

        host = try await HostUnderTest.start(home)
        #expect(!ProcessTable.isAlive(held) && !ProcessTable.isAlive(monitor), "the next start did not sweep")
        for id in ids {
          let job = try await host.finished(id)
          #expect(job.state == "succeeded" && job.outcomes == ["lost", "succeeded"], "\(job)")
        }
        try await settled(host, since: nil, engines: 4)
        try await stopInOrder(host)
        #expect(try await checkJobs(home).count == 4)
      }
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func f41ToldToStopTwice(signal: Int32) async throws {
      try await stopped("F41 signal \(signal)", ChaosPlugin()) { host in
        host.signal(signal)
        try await until("the first signal's effect") { host.home.hostLog.contains("stopping") }
        host.signal(signal)
      }
    }

    @Test func f41ToldToStopOnceWithAnEngineThatWillNot() async throws {
      try await stopped("F41 lingering engine", ChaosPlugin(arguments: ["--linger"], timeouts: "{shutdown: 5s}")) {
        host in
        host.signal(SIGTERM)
      }
    }

    /// A worker with a running job is told to stop: it hands the job back, and the next life does it.
    private func stopped(
      _ row: String, _ plugin: ChaosPlugin, _ tell: (HostUnderTest) async throws -> Void
    ) async throws {
      try await withTestHome { home in
        try home.install(plugin)
        let host = try await HostUnderTest.start(home)
        let log = home.path + "/runs"
        let id = try await host.submit(plugin, ["mode": "hang", "litter": 1, "log": .string(log)])
        try await until("the engine's work") { FileManager.default.fileExists(atPath: log) }
        let clock = SystemHostClock()
        let start = clock.now()
        try await tell(host)
        let (end, _) = try await host.ended()
        measured(row, "stopped", start.duration(to: clock.now()), bound: .seconds(10))
        #expect(end == .exited(0), "\(end)\n\(home.hostLog)")
        expectNothingLeft(home)
        let store = try JobStore.open(directory: home.data)
        // Handed back by the worker itself, not found running by this opening.
        #expect(store.openReport.requeued == 0)
        #expect(try await store.queuedIndex().map(\.id.description) == [id])
        try store.close()

        // The next life has an engine that goes when it is told.
        try home.uninstall(plugin.name)
        try home.install(ChaosPlugin())
        let next = try await HostUnderTest.start(home)
        let job = try await next.finished(id)
        #expect(job.state == "succeeded" && job.attempts.count == 2, "\(job)")
        try await stopInOrder(next)
        try await checkJobs(home)
      }
    }

    @Test func f41AnEngineThatDoesNotStartDelaysNothing() async throws {
      try await withTestHome { home in
        let plugin = ChaosPlugin(arguments: ["--mute"], timeouts: "{initialize: 60s}")
        try home.install(plugin)
        let host = try await HostUnderTest.start(home)
        let id = try await host.submit(plugin)
        try await until("the start of the engine") { Census.family(of: home).count == 2 }
        host.signal(SIGTERM)
        let (end, after) = try await host.ended()
        measured("F41", "stopped while an engine hangs in its start", after, bound: .seconds(10))
        #expect(end == .exited(0))
        expectNothingLeft(home)
        let store = try JobStore.open(directory: home.data)
        #expect(try await store.queuedIndex().map(\.id.description) == [id])
        try store.close()
      }
    }

    @Test func f41AJobThatIsNearlyDoneIsDone() async throws {
      try await withTestHome { home in
        let plugin = ChaosPlugin()
        try home.install(plugin)
        let host = try await HostUnderTest.start(home)
        let id = try await host.submit(plugin, ["ms": 500, "artifact": "out.txt"])
        try await host.seen("the start of the job", id) { $0.state == "running" }
        try await stopInOrder(host)
        #expect(try await checkJobs(home).map(\.state) == [.succeeded])
      }
    }

    @Test func f41ToldToStopDuringStart() async throws {
      try await withTestHome { home in
        let plugin = ChaosPlugin()
        try home.install(plugin)
        try home.configure("plugins: {chaos: {preload: true}}")
        for (round, signal) in [SIGTERM, SIGINT, SIGHUP, SIGTERM, SIGINT, SIGHUP, SIGTERM, SIGTERM].enumerated() {
          let host = try HostUnderTest(home)
          try await Task.sleep(for: .milliseconds(round * round * 4))
          host.signal(signal)
          let (end, after) = try await host.ended()
          // Before it listens for signals, the worker dies of them: then it has nothing to put in order yet.
          #expect(end == .exited(0) || end == .signaled(signal), "\(end)\n\(home.hostLog)")
          measured("F41", "stopped \(round * round * 4) ms after its start (\(end))", after, bound: .seconds(10))
          try await until("the end of its engines") { Census.family(of: home).isEmpty }
          #expect(!FileManager.default.fileExists(atPath: home.socket))
        }
        let host = try await HostUnderTest.start(home)
        #expect(try await host.finished(try await host.submit(plugin)).state == "succeeded")
        try await stopInOrder(host)
      }
    }
  }
}
