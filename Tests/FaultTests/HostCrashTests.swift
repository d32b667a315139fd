import Foundation
import Glibc
import Host
import PluginProtocol
import Testing

extension FaultMatrix {
  /// The worker is killed over and over at moments that nothing has prepared.
  @Suite struct HostCrash {
    /// Small and seeded, so that a failure can be repeated as far as the machine's timing allows.
    struct SeededGenerator: RandomNumberGenerator {
      var state: UInt64
      mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
      }
    }

    static let lives = 10
    static let jobsPerLife = 24

    @Test func noJobIsLostAndNoneIsShownTwice() async throws {
      let seed = UInt64.random(in: 1...999_999)
      print("seed \(seed)")
      var generator = SeededGenerator(state: seed)
      try await withTestHome { home in
        let plugins = [ChaosPlugin(name: "left", concurrency: 4), ChaosPlugin(name: "right", concurrency: 4)]
        for plugin in plugins { try home.install(plugin) }
        let runs = home.path + "/runs"
        let acknowledged = Shared<[Int: String]>([:])
        let work = (0..<HostCrash.lives * HostCrash.jobsPerLife).map { _ in Int.random(in: 0...60, using: &generator) }

        /// Submits until acknowledged or the worker is gone. A submission in doubt is repeated under its key.
        @Sendable func submit(_ index: Int, to host: HostUnderTest) async {
          let task: JSONValue = ["ms": JSONValue(work[index]), "artifact": "out.txt", "log": .string(runs)]
          guard let id = try? await host.submit(plugins[index % 2], task, key: "job-\(index)") else { return }
          let before = acknowledged.withLock { $0.updateValue(id, forKey: index) }
          #expect(before == nil || before == id, "one key, two jobs")
        }
        @Sendable func submitAll(below limit: Int, to host: HostUnderTest) async {
          let missing = acknowledged.withLock { known in (0..<limit).filter { known[$0] == nil } }
          await withTaskGroup(of: Void.self) { group in
            for lane in 0..<4 {
              group.addTask {
                for index in missing where index % 4 == lane { await submit(index, to: host) }
              }
            }
          }
        }

        for life in 1...HostCrash.lives {
          if life.isMultiple(of: 3) {
            // One more that does not even come to take jobs.
            let early = try HostUnderTest(home)
            try await Task.sleep(for: .milliseconds(Int.random(in: 5...80, using: &generator)))
            try await early.killAtOnce()
          }
          let host = try await HostUnderTest.start(home)
          let moment = Duration.milliseconds(Int.random(in: 10...350, using: &generator))
          try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await submitAll(below: life * HostCrash.jobsPerLife, to: host) }
            try await Task.sleep(for: moment)
            try await host.killAtOnce()
            try await group.waitForAll()
          }
        }
        let host = try await HostUnderTest.start(home)
        await submitAll(below: work.count, to: host)
        let ids = acknowledged.withLock { $0 }
        #expect(ids.count == work.count && Set(ids.values).count == work.count)
        for id in ids.values { _ = try await host.finished(id, within: .seconds(60)) }
        // One more each, so that both engines run in this life whatever was left to do.
        var closing: [String] = []
        for plugin in plugins {
          let id = try await host.submit(plugin, ["artifact": "out.txt", "log": .string(runs)])
          #expect(try await host.finished(id).state == "succeeded")
          closing.append(id)
        }
        try await settled(host, since: nil, engines: 2)
        try await stopInOrder(host)

        let jobs = try await checkJobs(home)
        #expect(Set(jobs.map(\.id.description)) == Set(closing + ids.values) && jobs.count == work.count + 2)
        let lines = try String(contentsOfFile: runs, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(Set(lines).count == lines.count, "an attempt was run twice")
        for job in jobs {
          #expect(job.state == .succeeded, "\(job.id): \(String(describing: job.error))")
          #expect(lines.contains("\(job.id) \(job.attempts.count)"), "a result without a run")
        }
        let again = jobs.count { $0.attempts.count > 1 }
        print(
          "measured crash: \(jobs.count) jobs, \(HostCrash.lives) kills, \(lines.count) runs, \(again) jobs ran again")
        #expect(again > 0, "no kill met a running job: the test shows nothing")
      }
    }
  }
}
