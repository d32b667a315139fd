import Foundation
import Host
import PluginProtocol
import Testing

extension FaultMatrix {
  /// Clients that change their mind, or stop listening.
  @Suite struct Clients {
    @Test func aWatcherThatStopsReadingHoldsUpNobodyElse() async throws {
      let plugin = ChaosPlugin(concurrency: 2)
      try await withFaultRow("F31", plugin) { row in
        let host = row.host
        // 4 MB of chunks: more than all buffers between engine and client hold.
        let id = try await host.submit(row.chaos, ["chunks": 4000])
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let received = Shared(0)
        let connection = host.connection
        let watch: JSONValue = ["id": .string(id), "chunks": true]
        try await withThrowingTaskGroup(of: JSONValue.self) { group in
          group.addTask {
            try await connection.call("jobs/watch", watch) { event in
              guard event["type"]?.string == "chunk" else { return }
              // The first chunk is held until the gate opens: nothing more is read from the socket.
              if received.withLock({
                $0 += 1; return $0
              }) == 1 {
                for await _ in gate {}
              }
            }
          }
          try await until("the first chunk") { received.withLock { $0 } == 1 }
          // The same work begun later, with nobody watching: it is done, while the watched one waits for its watcher.
          for task: JSONValue in [[:], ["chunks": 4000], [:]] {
            let other = try await host.finished(try await host.submit(row.chaos, task))
            #expect(other.state == "succeeded" && other.attempts.count == 1)
          }
          #expect(try await host.job(id).state == "running", "nothing slowed the engine down")
          open.finish()
          let answer = try await group.next()
          #expect(answer?["job"]?["state"]?.string == "succeeded")
        }
        #expect(received.withLock { $0 } == 4000)
      }
    }

    @Test func aWatcherThatGoesAwayLetsTheJobGoOn() async throws {
      try await withFaultRow("F31 gone") { row in
        let id = try await row.host.submit(row.chaos, ["chunks": 4000])
        let (first, tell) = AsyncStream.makeStream(of: Void.self)
        let connection = row.host.connection
        await withTaskGroup(of: Void.self) { group in
          group.addTask {
            _ = try? await connection.call("jobs/watch", ["id": .string(id), "chunks": true]) { event in
              guard event["type"]?.string == "chunk" else { return }
              tell.yield()
              try? await Task.sleep(for: patience)  // Ends with the task.
            }
          }
          for await _ in first { break }
          group.cancelAll()
        }
        let job = try await row.host.finished(id)
        #expect(job.state == "succeeded" && job.attempts.count == 1, "\(job)")
      }
    }
  }

  /// Plugins that come and go under a running worker.
  @Suite struct PluginChanges {
    static let bound = Duration.seconds(2)

    private func withHost(_ body: (TestHome, HostUnderTest) async throws -> Void) async throws {
      try await withTestHome { home in
        let host = try await HostUnderTest.start(home)
        try await body(home, host)
        try await stopInOrder(host)
        try await checkJobs(home)
      }
    }

    /// Waits until a job of the plugin is accepted; returns its id.
    private func accepted(_ plugin: ChaosPlugin, _ host: HostUnderTest) async throws -> (value: String, after: Duration)
    {
      try await until("the service of \(plugin.name)") {
        do {
          return try await host.submit(plugin)
        } catch let error as RPCError where error.controlFailure == .noEngine {
          return nil
        }
      }
    }

    private func isRefused(_ plugin: ChaosPlugin, _ host: HostUnderTest) async throws -> Bool {
      do {
        _ = try await host.submit(plugin)
        return false
      } catch let error as RPCError where error.controlFailure == .noEngine {
        return true
      }
    }

    @Test func droppedInServedRemovedRefused() async throws {
      try await withHost { home, host in
        let plugin = ChaosPlugin()
        #expect(try await isRefused(plugin, host))
        let clock = SystemHostClock()
        var start = clock.now()
        try home.install(plugin)
        let (id, _) = try await accepted(plugin, host)
        #expect(try await host.finished(id).state == "succeeded")
        measured("requirement 7", "dropped in and served", start.duration(to: clock.now()), bound: PluginChanges.bound)

        // Removed under a running job: that one ends well, new ones are refused, and one in line waits.
        let running = try await host.submit(plugin, ["ms": 1200])
        try await host.seen("the start", running) { $0.state == "running" }
        let waiting = try await host.submit(plugin)
        start = clock.now()
        try home.uninstall(plugin.name)
        let after = try await until("the removal") { try await host.plugin(plugin.name) == nil }
        measured("requirement 7", "removed", after, bound: PluginChanges.bound)
        #expect(try await isRefused(plugin, host))
        let job = try await host.finished(running)
        #expect(job.state == "succeeded" && job.attempts.count == 1, "\(job)")
        try await settled(host, since: nil, engines: 0)
        #expect(try await host.job(waiting).state == "queued")
        try home.install(plugin)
        #expect(try await host.finished(waiting).state == "succeeded")
      }
    }

    @Test func aChangedPluginIsStartedAnewWhileItsJobEndsOnTheOld() async throws {
      try await withHost { home, host in
        var plugin = ChaosPlugin()
        try home.install(plugin)
        let (first, _) = try await accepted(plugin, host)
        _ = try await host.finished(first)
        let former = try #require(try await host.engine(plugin.name))
        let running = try await host.submit(plugin, ["ms": 1500])
        try await host.seen("the start", running) { $0.state == "running" }
        plugin.version = "2"
        try plugin.manifest.write(
          toFile: "\(home.path)/plugins/\(plugin.name)/plugin.yaml", atomically: true, encoding: .utf8)
        let seen = try await until("the new version") { try await host.plugin(plugin.name)?["version"]?.string == "2" }
        measured("requirement 7", "change seen", seen, bound: PluginChanges.bound)
        let fresh = try await host.finished(try await host.submit(plugin))
        #expect(fresh.state == "succeeded" && fresh.json["result"]?["pid"]?.int != Int64(former), "\(fresh)")
        let old = try await host.finished(running)
        #expect(old.state == "succeeded" && old.json["result"]?["pid"]?.int == Int64(former), "\(old)")
        try await settled(host, since: nil, engines: 1)
      }
    }

    @Test func droppedInDuringTheStart() async throws {
      for moment in [0, 40, 80, 120, 160] {
        try await withTestHome { home in
          let plugin = ChaosPlugin()
          let host = try HostUnderTest(home)
          try await Task.sleep(for: .milliseconds(moment))
          try home.install(plugin)
          try await host.ready()
          let (id, after) = try await accepted(plugin, host)
          measured("requirement 7", "dropped in \(moment) ms after the start", after, bound: PluginChanges.bound)
          #expect(try await host.finished(id).state == "succeeded")
          try await stopInOrder(host)
        }
      }
    }

    @Test func aHalfCopiedDirectoryIsRetried() async throws {
      try await withHost { home, host in
        let plugin = ChaosPlugin()
        let directory = "\(home.path)/plugins/\(plugin.name)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let half = plugin.manifest.prefix(plugin.manifest.count / 2)
        try half.write(toFile: directory + "/plugin.yaml", atomically: false, encoding: .utf8)
        try await until("the verdict on the half") { try await host.plugin(plugin.name)?["state"]?.string == "invalid" }
        try plugin.manifest.write(toFile: directory + "/plugin.yaml", atomically: false, encoding: .utf8)
        let start = SystemHostClock().now()
        try FileManager.default.copyItem(atPath: Products.path("chaos-engine"), toPath: directory + "/chaos-engine")
        let (id, _) = try await accepted(plugin, host)
        #expect(try await host.finished(id).state == "succeeded")
        measured(
          "requirement 7", "completed and served", start.duration(to: SystemHostClock().now()),
          bound: PluginChanges.bound)
      }
    }
  }
}
