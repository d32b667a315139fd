import PluginProtocol
import Testing

@testable import Host

struct JobSubmissionTests {
  @Test func fiftySubmitsWithOneKeyAreOneJob() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory) { store async throws in
        let results = try await withThrowingTaskGroup(of: SubmitResult.self) { group in
          for _ in 0..<50 { group.addTask { try await store.submit(.sample(key: "k")) } }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(results.map(\.id)).count == 1)
        #expect(results.count { if case .created = $0 { true } else { false } } == 1)
        #expect(store.counts[.queued] == 1)
      }
    }
  }

  @Test func aKeyIsBoundToItsRequestAndItsCoordinator() async throws {
    try await withJobsDirectory { directory async throws in
      let id = try await withJobStore(directory) { try await $0.submit(.sample("a", key: "k")).id }
      try await withJobStore(directory) { store async throws in
        #expect(try await store.submit(.sample("a", key: "k")) == .existing(id))
        await #expect(throws: JobStoreError.idempotencyConflict(key: "k", job: id)) {
          try await store.submit(.sample("b", key: "k"))
        }
        var urgent = JobRequest.sample("a", key: "k")
        urgent.priority = 1
        await #expect(throws: JobStoreError.idempotencyConflict(key: "k", job: id)) { try await store.submit(urgent) }
        var remote = JobRequest.sample("b", key: "k")
        remote.coordinator = "studio"
        #expect(try await store.submit(remote).id != id)
        // The key stays with the job to its end and beyond.
        _ = try await store.requestCancel(id)
        #expect(try await store.submit(.sample("a", key: "k")) == .existing(id))
      }
    }
  }

  @Test func aFullQueueRefusesAndTakesAgain() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory, options: JobStoreOptions(maxQueued: 3)) { store async throws in
        let results = await withTaskGroup(of: Result<SubmitResult, any Error>.self) { group in
          for _ in 0..<10 {
            group.addTask {
              do { return .success(try await store.submit(.sample())) } catch { return .failure(error) }
            }
          }
          return await group.reduce(into: []) { $0.append($1) }
        }
        let ids = results.compactMap { try? $0.get().id }
        #expect(ids.count == 3)
        for result in results {
          if case .failure(let error) = result { #expect(error as? JobStoreError == .queueFull(limit: 3)) }
        }
        _ = try await store.claim(ids[0], engine: "e", pid: 1)
        _ = try await store.submit(.sample())
        await #expect(throws: JobStoreError.queueFull(limit: 3)) { try await store.submit(.sample()) }
      }
    }
  }

  @Test func badRequestsAreNamed() async throws {
    func changed(_ change: (inout JobRequest) -> Void) -> JobRequest {
      var request = JobRequest.sample()
      change(&request)
      return request
    }
    let cases: [(String, JobRequest)] = [
      ("task", changed { $0.task = [1, 2] }), ("priority", changed { $0.priority = 101 }),
      ("priority", changed { $0.priority = .min }), ("deadlineSeconds", changed { $0.deadlineSeconds = 0 }),
      ("deadlineSeconds", changed { $0.deadlineSeconds = .nan }),
      ("deadlineSeconds", changed { $0.deadlineSeconds = 1e300 }), ("model", changed { $0.model = "" }),
      ("model", changed { $0.model = "a\nb" }), ("idempotencyKey", changed { $0.idempotencyKey = "" }),
      ("idempotencyKey", changed { $0.idempotencyKey = String(repeating: "k", count: 256) }),
      ("coordinator", changed { $0.coordinator = "" }), ("labels", changed { $0.labels = ["": "x"] }),
      ("labels", changed { $0.labels = ["a": String(repeating: "x", count: 1025)] }),
    ]
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory, options: JobStoreOptions(maxInlineBytes: 1000)) { store async throws in
        for (field, request) in cases {
          let error = await #expect(throws: JobStoreError.self) { try await store.submit(request) }
          guard case .invalidRequest(let named, _) = error else {
            Issue.record("\(field): \(String(describing: error))")
            continue
          }
          #expect(named == field)
        }
        let large = changed { $0.task = ["p": .string(String(repeating: "x", count: 1000))] }
        await #expect(throws: JobStoreError.tooLarge(what: "the task", bytes: 1008, limit: 1000)) {
          try await store.submit(large)
        }
        let id = try await store.submit(.sample()).id
        let attempt = try await store.claim(id, engine: "e", pid: 1)
        await #expect(throws: JobStoreError.self) {
          try await store.finish(id, attempt: attempt, .success(result: large.task, artifacts: []))
        }
        #expect(try await store.job(id).state == .running)
        #expect(store.counts[.queued] == 0)
      }
    }
  }

  @Test func theIndexIsInStartOrderAndListingsInPages() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory) { store async throws in
        var ids: [JobID] = []
        for priority in [0, -5, 9, 0, 9] {
          var request = JobRequest.sample()
          request.priority = priority
          request.kind = priority == 9 ? .image : .llm
          ids.append(try await store.submit(request).id)
        }
        #expect(try await store.queuedIndex().map(\.id) == [ids[2], ids[4], ids[0], ids[3], ids[1]])
        #expect(try await store.jobs().map(\.id) == ids.reversed())
        #expect(try await store.jobs(JobFilter(limit: 2)).map(\.id) == [ids[4], ids[3]])
        #expect(try await store.jobs(JobFilter(before: ids[3], limit: 2)).map(\.id) == [ids[2], ids[1]])
        #expect(try await store.jobs(JobFilter(kind: .image)).map(\.id) == [ids[4], ids[2]])
        _ = try await store.requestCancel(ids[0])
        #expect(try await store.jobs(JobFilter(state: .cancelled)).map(\.id) == [ids[0]])
        #expect(try await store.jobs(JobFilter(coordinator: "studio")).isEmpty)
      }
    }
  }

  @Test func concurrentOperationsShareCommits() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory) { store async throws in
        try await withThrowingTaskGroup(of: Void.self) { group in
          for _ in 0..<16 {
            group.addTask {
              for _ in 0..<25 {
                let id = try await store.submit(.sample()).id
                let attempt = try await store.claim(id, engine: "e", pid: 1)
                _ = try await store.finish(id, attempt: attempt, .success(result: [:], artifacts: []))
              }
            }
          }
          try await group.waitForAll()
        }
        let statistics = store.statistics
        #expect(statistics.operations == 1200)
        #expect(statistics.commits < 900)
        #expect(statistics.syncedCommits <= statistics.commits)
        #expect(statistics.largestBatch > 1)
        #expect(store.counts[.succeeded] == 400)
        #expect(try await store.jobs(JobFilter(state: .succeeded, limit: 1000)).count == 400)
      }
    }
  }

  @Test func aBusyStoreRefusesWhatComesFromOutsideOnly() async throws {
    try await withJobsDirectory { directory async throws in
      let id = try await withJobStore(directory) { store async throws in try await store.submit(.sample()).id }
      try await withJobStore(directory, options: JobStoreOptions(maxPendingOperations: 0)) { store async throws in
        await #expect(throws: JobStoreError.overloaded(pending: 0)) { try await store.submit(.sample()) }
        let attempt = try await store.claim(id, engine: "e", pid: 1)
        let end = AttemptEnd.success(result: [:], artifacts: [])
        #expect(try await store.finish(id, attempt: attempt, end) == .recorded(.succeeded))
      }
    }
  }

  @Test func aClosedStoreRefuses() async throws {
    try await withJobsDirectory { directory async throws in
      let store = try JobStore.open(directory: directory)
      try store.close()
      try store.close()
      await #expect(throws: JobStoreError.closed) { try await store.submit(.sample()) }
    }
  }
}
