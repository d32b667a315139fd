import Foundation
import PluginProtocol
import Testing

@testable import Host

struct JobRecoveryTests {
  /// What a host leaves that died without a word: nothing is closed in order but the file itself.
  @Test func runningJobsOfAFormerLifeAreSettled() async throws {
    try await withJobsDirectory { directory async throws in
      let options = JobStoreOptions(maxHostLosses: 1)
      let (plain, cancelled, queued) = try await withJobStore(directory, options: options) { store async throws in
        let plain = try await store.submit(.sample()).id
        let cancelled = try await store.submit(.sample()).id
        let queued = try await store.submit(.sample()).id
        _ = try await store.claim(plain, engine: "e", pid: 1)
        _ = try await store.claim(cancelled, engine: "e", pid: 1)
        _ = try await store.requestCancel(cancelled)
        _ = try store.artifacts.makeWorkDirectory(plain, attempt: 1)
        return (plain, cancelled, queued)
      }
      try await withJobStore(directory, options: options) { store async throws in
        #expect(store.openReport.requeued == 1)
        #expect(store.openReport.cancelled == 1)
        #expect(store.openReport.orphanedDirectories == 1)
        #expect(!fileExists(store.artifacts.workDirectory(plain, attempt: 1)))
        #expect(try await store.queuedIndex().map(\.id) == [plain, queued])
        #expect(store.counts[.queued] == 2)
        #expect(store.counts[.cancelled] == 1)
        #expect(try await store.job(plain).attempts.map(\.outcome) == [.lost])
        #expect(try await store.job(cancelled).state == .cancelled)
        // An engine of the former life cannot answer any more, and if it could it would not count.
        let late = AttemptEnd.success(result: [:], artifacts: [])
        #expect(try await store.finish(plain, attempt: 1, late) == .superseded)
        #expect(try await store.claim(plain, engine: "e", pid: 2) == 2)
      }
      try await withJobStore(directory, options: options) { store async throws in
        #expect(store.openReport.failed == 1)
        let job = try await store.job(plain)
        #expect(job.state == .failed)
        #expect(job.error?.errorClass == "lost")
        #expect(job.attempts.map(\.outcome) == [.lost, .lost])
      }
    }
  }

  @Test func retentionTakesTheArtifactsAlong() async throws {
    try await withJobsDirectory { directory async throws in
      let clock = JobsTestClock()
      let policy = RetentionPolicy(maxAgeSeconds: 100, maxCount: 3, maxUndeliveredAgeSeconds: 1000)
      try await withJobStore(directory, options: JobStoreOptions(retention: policy), clock: clock.clock) {
        store async throws in
        func run(_ coordinator: String) async throws -> JobID {
          var request = JobRequest.sample()
          request.coordinator = coordinator
          let id = try await store.submit(request).id
          let attempt = try await store.claim(id, engine: "e", pid: 1)
          let work = try store.artifacts.makeWorkDirectory(id, attempt: attempt)
          try Data("abc".utf8).write(to: URL(fileURLWithPath: work + "/a.txt"))
          let taken = try await store.artifacts.take(
            [ArtifactDeclaration(name: "a.txt", contentType: "text/plain", bytes: 3)], of: id, attempt: attempt)
          _ = try await store.finish(id, attempt: attempt, .success(result: [:], artifacts: taken))
          await store.artifacts.removeWorkDirectory(id, attempt: attempt)
          return id
        }
        let first = try await run("local")
        let path = try #require(try await store.job(first).artifacts.first?.path)
        #expect(fileExists(path))
        let kept = try await run("studio")
        let queued = try await store.submit(.sample()).id
        clock.jump(seconds: 1000)
        #expect(try await store.prune().isEmpty)
        clock.jump(seconds: -5000)
        clock.advance(seconds: 101)
        #expect(try await store.prune() == [first])
        #expect(!fileExists(path))
        #expect(!fileExists(directory + "/jobs/\(first)"))
        await #expect(throws: JobStoreError.unknownJob(first)) { try await store.job(first) }
        let keptPath = try #require(try await store.job(kept).artifacts.first?.path)
        #expect(fileExists(keptPath))
        #expect(try await store.job(queued).state == .queued)

        var recent: [JobID] = []
        for _ in 0..<4 { recent.append(try await run("local")) }
        #expect(try await store.prune() == [recent[0], recent[1]])
        #expect(try await store.prune().isEmpty)
        #expect(store.counts[.succeeded] == 3)
        try await store.acknowledge(kept)
        #expect(try await store.prune() == [kept])
        let late = try await run("studio")
        clock.advance(seconds: 1001)
        #expect(Set(try await store.prune()) == [recent[2], recent[3], late])
      }
    }
  }

  @Test func directoriesWithoutAJobAreSwept() async throws {
    try await withJobsDirectory { directory async throws in
      let (kept, path, inputs) = try await withJobStore(directory) { store async throws in
        let kept = try await store.submit(.sample()).id
        let attempt = try await store.claim(kept, engine: "e", pid: 1)
        let work = try store.artifacts.makeWorkDirectory(kept, attempt: attempt)
        try Data("abc".utf8).write(to: URL(fileURLWithPath: work + "/a"))
        let taken = try await store.artifacts.take(
          [ArtifactDeclaration(name: "a", contentType: "text/plain", bytes: 3)], of: kept, attempt: attempt)
        _ = try await store.finish(kept, attempt: attempt, .success(result: [:], artifacts: taken))
        let id = store.newID()
        let inputs = try store.artifacts.makeInputDirectory(id)
        #expect(try await store.submit(.sample(), id: id) == .created(id))
        _ = try store.artifacts.makeInputDirectory(store.newID())
        return (kept, taken[0].path, inputs)
      }
      let fm = FileManager.default
      try fm.createDirectory(atPath: directory + "/jobs/\(kept)/7", withIntermediateDirectories: false)
      try fm.createDirectory(atPath: directory + "/work/x/y", withIntermediateDirectories: true)
      try await withJobStore(directory) { store async throws in
        #expect(store.openReport.orphanedDirectories == 4)
        #expect(fileExists(path))
        #expect(fileExists(inputs))
        #expect(try fm.contentsOfDirectory(atPath: directory + "/work").isEmpty)
        #expect(try fm.contentsOfDirectory(atPath: directory + "/jobs/\(kept)") == ["1"])
      }
    }
  }
}
