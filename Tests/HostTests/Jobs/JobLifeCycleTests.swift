import PluginProtocol
import Testing

@testable import Host

struct JobLifeCycleTests {
  @Test func submittedClaimedFinishedShownAndKeptOverARestart() async throws {
    try await withJobsDirectory { directory async throws in
      let clock = JobsTestClock()
      let id = try await withJobStore(directory, clock: clock.clock) { store async throws in
        var request = JobRequest.sample()
        request.labels = ["team": "a"]
        request.priority = 7
        request.deadlineSeconds = 60
        let result = try await store.submit(request)
        let id = result.id
        #expect(result == .created(id))
        #expect(try await store.task(id) == ["prompt": "hello"])
        #expect(try await store.job(id).state == .queued)
        clock.advance(seconds: 2)
        #expect(try await store.claim(id, engine: "llama", pid: 42) == 1)
        try await store.noteProgress(id, attempt: 1, ["fraction": 0.5])
        try await store.noteProgress(id, attempt: 2, ["fraction": 0.9])
        let running = try await store.job(id)
        #expect(running.state == .running)
        #expect(running.progress == ["fraction": 0.5])
        clock.advance(seconds: 3)
        let finished = try await store.finish(
          id, attempt: 1, .success(result: ["text": "world"], artifacts: []), timing: JobTiming(loadMs: 1, runMs: 3000))
        #expect(finished == .recorded(.succeeded))
        #expect(store.counts[.succeeded] == 1)
        #expect(store.counts[.queued] == 0)
        return id
      }
      try await withJobStore(directory) { store async throws in
        #expect(store.openReport == OpenReport())
        #expect(store.counts[.succeeded] == 1)
        let json = try await store.job(id).json
        let expected: JSONValue = [
          "id": .string(id.description), "kind": "llm", "model": "m", "state": "succeeded",
          "attempts": [
            [
              "number": 1, "engine": "llama", "pid": 42, "startedAt": "2023-11-14T22:13:22.000Z",
              "endedAt": "2023-11-14T22:13:25.000Z", "outcome": "succeeded",
            ]
          ],
          "result": ["text": "world"], "artifacts": [], "timing": ["queuedMs": 2000, "loadMs": 1, "runMs": 3000],
          "priority": 7, "labels": ["team": "a"], "coordinator": "local", "cancelRequested": false,
          "createdAt": "2023-11-14T22:13:20.000Z", "deadlineAt": "2023-11-14T22:14:20.000Z",
          "finishedAt": "2023-11-14T22:13:25.000Z",
        ]
        #expect(json == expected)
      }
    }
  }

  @Test func failureIsShownWithItsEvidence() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory) { store async throws in
        let id = try await store.submit(.sample()).id
        let attempt = try await store.claim(id, engine: "e", pid: nil)
        let failure = JobFailure(.badInput, "the prompt is empty", evidence: ["line 1"])
        #expect(try await store.finish(id, attempt: attempt, .failure(failure)) == .recorded(.failed))
        let job = try await store.job(id)
        #expect(job.error == failure)
        #expect(job.json["error"]?["class"] == "bad_input")
        #expect(job.attempts.last?.outcome == .failed)
      }
    }
  }

  @Test func onlyTheCurrentAttemptCanEndAJob() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory) { store async throws in
        let id = try await store.submit(.sample()).id
        let success = AttemptEnd.success(result: ["late": true], artifacts: [])
        let lost = JobFailure(.engineFault, "the engine was killed")
        let first = try await store.claim(id, engine: "e", pid: 1)
        guard
          case .requeued(let queued) = try await store.loseAttempt(id, attempt: first, outcome: .lost, failure: lost)
        else {
          Issue.record("not requeued")
          return
        }
        #expect(queued.attempts == 1)
        #expect(try await store.finish(id, attempt: first, success) == .superseded)
        let second = try await store.claim(id, engine: "e", pid: 2)
        #expect(second == 2)
        #expect(try await store.finish(id, attempt: first, success) == .superseded)
        #expect(try await store.loseAttempt(id, attempt: first, outcome: .lost, failure: lost) == .superseded)
        #expect(try await store.job(id).result == nil)
        let good = AttemptEnd.success(result: ["good": true], artifacts: [])
        #expect(try await store.finish(id, attempt: second, good) == .recorded(.succeeded))
        #expect(try await store.finish(id, attempt: second, success) == .superseded)
        let job = try await store.job(id)
        #expect(job.result == ["good": true])
        #expect(job.attempts.map(\.outcome) == [.lost, .succeeded])
        #expect(job.attempts[0].error == lost)
      }
    }
  }

  @Test func attemptsRunOutButOnlyByThoseThatCount() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory, options: JobStoreOptions(maxAttempts: 2)) { store async throws in
        let id = try await store.submit(.sample()).id
        let failure = JobFailure(.engineFault, "segmentation fault")
        var ends: [LossResult] = []
        for counts in [false, true, false, true] {
          let attempt = try await store.claim(id, engine: "e", pid: 1)
          ends.append(
            try await store.loseAttempt(
              id, attempt: attempt, outcome: .lost, failure: failure, requeueAfter: 0, countsAgainstJob: counts))
        }
        #expect(ends.last == .ended(.failed))
        #expect(ends.dropLast().allSatisfy { if case .requeued = $0 { true } else { false } })
        let job = try await store.job(id)
        #expect(job.state == .failed)
        #expect(job.error == failure)
        #expect(job.attempts.map(\.number) == [1, 2, 3, 4])
      }
    }
  }

  @Test func cancelIsIdempotentInEveryState() async throws {
    try await withJobsDirectory { directory async throws in
      try await withJobStore(directory) { store async throws in
        let queued = try await store.submit(.sample()).id
        #expect(try await store.requestCancel(queued) == .cancelled)
        #expect(try await store.requestCancel(queued) == .alreadyFinished(.cancelled))
        await #expect(throws: JobStoreError.notQueued(queued, state: .cancelled)) {
          try await store.claim(queued, engine: "e", pid: 1)
        }

        let running = try await store.submit(.sample()).id
        let attempt = try await store.claim(running, engine: "e", pid: 1)
        #expect(try await store.requestCancel(running) == .requested(attempt: attempt))
        #expect(try await store.requestCancel(running) == .requested(attempt: attempt))
        #expect(try await store.job(running).cancelRequested)
        // The engine's answer came too late: nothing of it becomes visible.
        let late = AttemptEnd.success(result: ["secret": 1], artifacts: [])
        #expect(try await store.finish(running, attempt: attempt, late) == .recorded(.cancelled))
        let job = try await store.job(running)
        #expect(job.result == nil)
        #expect(job.attempts.map(\.outcome) == [.cancelled])

        let dying = try await store.submit(.sample()).id
        let last = try await store.claim(dying, engine: "e", pid: 1)
        _ = try await store.requestCancel(dying)
        let loss = try await store.loseAttempt(
          dying, attempt: last, outcome: .lost, failure: JobFailure(.engineFault, "killed at the end of its grace"))
        #expect(loss == .ended(.cancelled))

        let done = try await store.submit(.sample()).id
        _ = try await store.finish(
          done, attempt: try await store.claim(done, engine: "e", pid: 1), .success(result: [:], artifacts: []))
        #expect(try await store.requestCancel(done) == .alreadyFinished(.succeeded))

        let stranger = store.newID()
        await #expect(throws: JobStoreError.unknownJob(stranger)) { try await store.requestCancel(stranger) }
      }
    }
  }

  @Test func deadlinesFollowTheMonotonicClock() async throws {
    try await withJobsDirectory { directory async throws in
      let clock = JobsTestClock()
      try await withJobStore(directory, clock: clock.clock) { store async throws in
        var request = JobRequest.sample()
        request.deadlineSeconds = 30
        let queued = try await store.submit(request).id
        let running = try await store.submit(request).id
        let attempt = try await store.claim(running, engine: "e", pid: 1)
        let free = try await store.submit(.sample()).id
        clock.jump(seconds: 86_400)
        #expect(try await store.expireDeadlines() == ExpiryReport(nextInMs: 30_000))
        clock.jump(seconds: -10 * 86_400)
        clock.advance(seconds: 29)
        #expect(try await store.expireDeadlines().nextInMs == 1000)
        #expect(try await store.queuedIndex().map(\.deadlineInMs) == [1000, nil])
        clock.advance(seconds: 1)
        let report = try await store.expireDeadlines()
        #expect(report.failed == [queued])
        #expect(report.running == [AttemptReference(job: running, attempt: attempt)])
        #expect(try await store.job(queued).error?.errorClass == "deadline")
        #expect(try await store.job(free).state == .queued)
        let late = JobFailure(errorClass: "deadline", message: "the deadline passed")
        #expect(try await store.finish(running, attempt: attempt, .failure(late)) == .recorded(.failed))
        #expect(try await store.expireDeadlines() == ExpiryReport())
      }
    }
  }

  @Test func aDeadlinePassesWhileNoHostRuns() async throws {
    try await withJobsDirectory { directory async throws in
      let clock = JobsTestClock()
      let id = try await withJobStore(directory, clock: clock.clock) { store async throws in
        var request = JobRequest.sample()
        request.deadlineSeconds = 30
        return try await store.submit(request).id
      }
      clock.advance(seconds: 31)
      try await withJobStore(directory, clock: clock.clock) { store async throws in
        let report = try await store.expireDeadlines()
        #expect(report.failed == [id])
      }
    }
  }

  @Test func leasesSurviveAJumpOfTheClock() async throws {
    try await withJobsDirectory { directory async throws in
      let clock = JobsTestClock()
      try await withJobStore(directory, clock: clock.clock) { store async throws in
        var request = JobRequest.sample()
        request.coordinator = "studio"
        request.remoteID = "run-1"
        let id = try await store.submit(request).id
        let attempt = try await store.claim(id, engine: "e", pid: 1)
        #expect(try await store.renewLease(id, attempt: attempt, owner: "studio", seconds: 30))
        #expect(try await store.job(coordinator: "studio", remoteID: "run-1")?.lease?.owner == "studio")
        clock.jump(seconds: 3600)
        #expect(try await store.lapsedLeases().isEmpty)
        clock.advance(seconds: 20)
        #expect(try await store.renewLease(id, attempt: attempt, owner: "studio", seconds: 30))
        clock.advance(seconds: 29)
        #expect(try await store.lapsedLeases().isEmpty)
        clock.advance(seconds: 1)
        #expect(try await store.lapsedLeases() == [AttemptReference(job: id, attempt: attempt)])
        let failure = JobFailure(.transient, "the lease lapsed")
        _ = try await store.loseAttempt(id, attempt: attempt, outcome: .superseded, failure: failure, requeueAfter: 5)
        #expect(try await store.renewLease(id, attempt: attempt, owner: "studio", seconds: 30) == false)
        #expect(try await store.lapsedLeases().isEmpty)
        #expect(try await store.queuedIndex().map(\.startableInMs) == [5000])
        clock.advance(seconds: 5)
        #expect(try await store.queuedIndex().map(\.startableInMs) == [nil])
      }
    }
  }

  @Test func theOutboxKeepsRemoteResultsUntilAcknowledged() async throws {
    try await withJobsDirectory { directory async throws in
      let ids = try await withJobStore(directory) { store async throws in
        var ids: [JobID] = []
        for name in ["studio", "studio", "insight", "local"] {
          var request = JobRequest.sample()
          request.coordinator = name
          let id = try await store.submit(request).id
          if ids.isEmpty {
            await #expect(throws: JobStoreError.notFinished(id, state: .queued)) { try await store.acknowledge(id) }
          }
          let attempt = try await store.claim(id, engine: "e", pid: 1)
          _ = try await store.finish(id, attempt: attempt, .success(result: ["n": 1], artifacts: []))
          ids.append(id)
        }
        try await store.acknowledge(ids[0])
        return ids
      }
      try await withJobStore(directory) { store async throws in
        #expect(try await store.undelivered(coordinator: "studio").map(\.id) == [ids[1]])
        #expect(try await store.undelivered(coordinator: "insight").map(\.id) == [ids[2]])
        #expect(try await store.undelivered(coordinator: "local").isEmpty)
        try await store.acknowledge(ids[1])
        try await store.acknowledge(ids[1])
        try await store.acknowledge(ids[3])
        #expect(try await store.undelivered(coordinator: "studio").isEmpty)
      }
    }
  }
}
