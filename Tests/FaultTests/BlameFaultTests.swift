import Foundation
import Glibc
import Host
import PluginProtocol
import Testing

extension FaultMatrix {
  /// Who is blamed for the end of a process, and who is not.
  @Suite struct BlameRows {
    private static let quick = "restart: {firstDelay: 20ms, maxDelay: 100ms, quarantineFailures: 4}"

    /// One attempt is all that a job has here: an innocent one that paid for its neighbour would fail.
    @Test func f43PoisonAmongInnocentNeighbours() async throws {
      let plugin = ChaosPlugin(concurrency: 4)
      try await withFaultRow("F43 shared", plugin, configuration: "jobs: {maxAttempts: 1}\n" + BlameRows.quick) { row in
        let log = row.home.path + "/runs"
        var innocent: [String] = []
        for _ in 0..<3 { innocent.append(try await row.host.submit(row.chaos, ["mode": "hang", "log": .string(log)])) }
        try await until("three jobs in the engine") { lines(log).count == 3 }
        let start = SystemHostClock().now()
        let poison = try await row.host.finished(try await submitPoison(row))
        row.measured("poison found", start.duration(to: SystemHostClock().now()), bound: .seconds(10))
        #expect(poison.state == "failed" && poison.outcomes == ["lost", "failed"], "\(poison)")
        let stories = poison.json["error"]?["evidence"]?.array ?? []
        #expect(stories.map { $0["evidence"]?["blame"]?.string } == ["shared", "alone"], "\(poison)")
        for story in stories {
          let evidence = story["evidence"]
          #expect(evidence?["signal"]?.string == "SIGABRT", "\(story)")
          #expect(evidence?["stderr"]?.array?.last?.string == "chaos: assertion failed", "\(story)")
          let wire = evidence?["wire"]?.array ?? []
          #expect(wire.contains { $0["frame"]?.string?.contains("job/run") == true }, "\(story)")
          #expect(wire.contains { $0["direction"]?.string == "fromEngine" }, "\(story)")
          #expect(!wire.contains { $0["frame"]?.string?.contains("\"abort\"") == true }, "the task is shown: \(story)")
        }
        for id in innocent {
          let job = try await row.host.finished(id)
          #expect(job.state == "succeeded" && job.outcomes == ["lost", "succeeded"], "\(job)")
          #expect(job.attempts.first?["error"]?["evidence"]?["blame"]?.string == "shared", "\(job)")
          #expect(job.attempts.first?["error"]?["evidence"]?["signal"]?.string == "SIGABRT", "\(job)")
        }
      }
    }

    /// An engine that does other jobs is not blamed for what is poison, however much of it comes.
    @Test func f43AnEngineIsNotQuarantinedForPoison() async throws {
      try await withFaultRow("F43 engine", ChaosPlugin(), configuration: BlameRows.quick) { row in
        for _ in 0..<4 {
          let poison = try await row.host.finished(try await submitPoison(row))
          #expect(poison.state == "failed" && poison.attempts.count == 2, "\(poison)")
        }
        let good = try await row.host.finished(try await row.host.submit(row.chaos))
        #expect(good.state == "succeeded" && good.attempts.count == 1, "\(good)")
        #expect(try await row.host.plugin(row.chaos.name)?["state"]?.string != "quarantined")
      }
    }

    /// What a person does with a plugin is never held against it, not even where one death would be too many.
    @Test func whatAPersonDoesIsNoCrash() async throws {
      let plugin = ChaosPlugin(timeouts: "{cancelGrace: 100ms, shutdown: 200ms}")
      try await withFaultRow(
        "36 by hand", plugin, configuration: "restart: {firstDelay: 20ms, quarantineFailures: 1}"
      ) { row in
        let name: JSONValue = ["name": .string(row.chaos.name)]
        for _ in 0..<3 {
          let deaf = try await row.running(["mode": "deaf"])
          _ = try await row.host.call("jobs/cancel", ["id": .string(deaf)])
          #expect(try await row.host.finished(deaf).state == "cancelled")
        }
        for verb in ["restart", "disable", "enable", "restart"] {
          let before = try await row.host.engine(row.chaos.name)
          _ = try await row.host.call("plugins/\(verb)", name)
          if verb != "enable", let before {
            try await until("the old engine's end") { !ProcessTable.isAlive(before) }
          }
          guard verb != "disable" else { continue }
          let job = try await row.host.finished(try await row.host.submit(row.chaos))
          #expect(job.state == "succeeded" && job.attempts.count == 1, "\(job)")
        }
        let seen = try await row.host.call("plugins/inspect", name)
        #expect(seen["counters"]?["crashes"]?.int == 0, "\(seen.prettyText)")
        #expect(seen["plugin"]?["state"]?.string != "quarantined", "\(seen.prettyText)")
        let events = (seen["history"]?.array ?? []).compactMap { $0["event"]?.string }
        #expect(
          events.filter { $0 == "killed" }.count == 3 && events.filter { $0 == "restart" }.count == 2, "\(events)")
        #expect(events.contains("disabled") && events.contains("enabled") && !events.contains("crashed"), "\(events)")
      }
    }

    /// A plugin that cannot start loses its jobs to another one that serves them; then it is looked at and let go.
    @Test func f42QuarantineWhileAnotherServes() async throws {
      try await withTestHome { home in
        try home.configure("restart: {firstDelay: 20ms, quarantineFailures: 2}")
        try home.install(ChaosPlugin(arguments: ["--early"]))
        let spare = ChaosPlugin(name: "spare")
        try home.install(spare)
        let manifest = home.path + "/plugins/spare/plugin.yaml"
        try spare.manifest.replacing("spare-*", with: "*").write(toFile: manifest, atomically: true, encoding: .utf8)
        var host = try await HostUnderTest.start(home)
        // The good one is busy, so that the other one is tried with what waits.
        let busy = try await host.submit(spare, ["mode": "hang"])
        try await host.seen("the busy engine", busy) { $0.state == "running" }
        let waiting = try await host.submit(ChaosPlugin())
        try await until("the quarantine") {
          try await host.plugin("chaos")?["state"]?.string == "quarantined" ? true : nil
        }
        #expect(try await host.job(waiting).state == "queued", "another plugin serves it: it waits")
        _ = try await host.call("jobs/cancel", ["id": .string(busy)])
        let job = try await host.finished(waiting)
        #expect(job.state == "succeeded" && job.attempts.map { $0["engine"]?.string } == ["spare"], "\(job)")

        // Nobody else: refused at once, with what to do.
        _ = try await host.call("plugins/disable", ["name": "spare"])
        do {
          _ = try await host.submit(ChaosPlugin())
          Issue.record("a job was taken that nothing serves")
        } catch let refusal as RPCError {
          #expect(refusal.controlFailure == .noEngine, "\(refusal)")
          #expect(refusal.message.contains("stoker plugins quarantine lift chaos"), "\(refusal)")
        }

        // Both outlive the worker.
        try await host.killAtOnce()
        host = try await HostUnderTest.start(home)
        let listed = try await host.call("plugins/quarantine/list")["quarantined"]?.array ?? []
        #expect(listed.map { $0["name"]?.string } == ["chaos"], "\(listed)")
        #expect(listed.first?["evidence"]?["exitStatus"]?.int == 7, "\(listed)")
        #expect(listed.first?["evidence"]?["stderr"]?.text.contains("no licence") == true, "\(listed)")
        let seen = try await host.call("plugins/inspect", ["name": "chaos"])
        let history = seen["history"]?.array ?? []
        #expect(history.compactMap { $0["event"]?.string }.suffix(1) == ["quarantined"], "\(history)")
        #expect(history.filter { $0["event"]?.string == "failed to start" }.count == 2, "\(history)")
        #expect(
          seen["counters"]?["crashes"]?.int == 2 && seen["counters"]?["starts"]?.int == 2,
          "\(seen["counters"] ?? .null)")
        let mode = try FileManager.default.attributesOfItem(atPath: home.path + "/state/history/chaos.jsonl")[
          .posixPermissions]
        #expect(mode as? Int == 0o600)

        let hash = try #require(listed.first?["contentHash"]?.string)
        await #expect(throws: RPCError.self) {
          try await host.call("plugins/quarantine/lift", ["plugin": "nobody"])
        }
        let lifted = try await host.call("plugins/quarantine/lift", ["plugin": .string(String(hash.prefix(12)))])
        #expect(lifted["lifted"]?.array?.count == 1, "\(lifted)")
        #expect(try await host.plugin("chaos")?["state"]?.string == "idle")
        #expect(try await host.call("plugins/quarantine/list")["quarantined"]?.array?.isEmpty == true)
        try await stopInOrder(host)
      }
    }

    @Test func jobsOfARemovedPluginWaitAndSayWhy() async throws {
      try await withTestHome { home in
        try home.install(ChaosPlugin())
        let host = try await HostUnderTest.start(home)
        let running = try await host.submit(ChaosPlugin(), ["mode": "hang"])
        try await host.seen("the start", running) { $0.state == "running" }
        let waiting = try await host.submit(ChaosPlugin())
        #expect(try await host.job(waiting).json["waitsFor"] == nil, "it waits for its turn, which needs no word")
        try home.uninstall("chaos")
        let (job, _) = try await host.seen("the reason", waiting) { $0.json["waitsFor"] != nil }
        #expect(job.json["waitsFor"]?.string?.contains("no plugin here serves llm model chaos-model") == true, "\(job)")
        let status = try await host.call("status")
        #expect(status["waiting"]?.array?.first?["model"]?.string == "chaos-model", "\(status)")
        _ = try await host.call("jobs/cancel", ["id": .string(running)])
        try home.install(ChaosPlugin())
        #expect(try await host.finished(waiting).state == "succeeded")
        try await stopInOrder(host)
      }
    }

    /// Suspects stay suspects when the host dies: the next life tries them alone, and two deaths are two deaths.
    @Test func suspicionOutlivesTheHost() async throws {
      try await withTestHome { home in
        try home.configure("restart: {firstDelay: 60s}")
        let plugin = ChaosPlugin(concurrency: 2)
        try home.install(plugin)
        var host = try await HostUnderTest.start(home)
        let log = home.path + "/runs"
        let innocent = try await host.submit(plugin, ["mode": "hang", "log": .string(log)])
        try await until("the innocent job in the engine") { lines(log).count == 1 }
        let poison = try await host.submit(plugin, ["mode": "abort", "times": 99])
        for id in [innocent, poison] {
          try await host.seen("the loss", id) { $0.state == "queued" && $0.outcomes == ["lost"] }
        }
        let reason = try await host.job(innocent).json["waitsFor"]?.string ?? ""
        #expect(reason.contains("died and starts again in"), "\(reason)")
        try await host.killAtOnce()
        try home.configure(BlameRows.quick)
        host = try await HostUnderTest.start(home)
        let guilty = try await host.finished(poison)
        #expect(guilty.state == "failed" && guilty.attempts.count == 2, "\(guilty)")
        #expect(guilty.json["error"]?["evidence"]?.array?.count == 2, "\(guilty)")
        let free = try await host.finished(innocent)
        #expect(free.state == "succeeded" && free.outcomes == ["lost", "succeeded"], "\(free)")
        try await stopInOrder(host)
      }
    }

    private func submitPoison(_ row: FaultRow) async throws -> String {
      try await row.host.submit(row.chaos, ["mode": "abort", "times": 99])
    }

    private func lines(_ path: String) -> [Substring] {
      ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
    }
  }
}
