import Glibc
import Host
import PluginProtocol

// A process that works on a job store until it is killed, and says on stdout what the store has acknowledged.
//
//   store-crash-helper work DIRECTORY           for ever: S id | F id attempt | C id | L id, one line each
//   store-crash-helper bench DIRECTORY JOBS     submits, claims and finishes JOBS jobs, 8 at a time, and prints the rate

func say(_ line: String) {
  let bytes = Array((line + "\n").utf8)
  // One write below PIPE_BUF: lines of concurrent tasks never mix.
  _ = write(STDOUT_FILENO, bytes, bytes.count)
}

func finish(_ id: JobID, _ store: JobStore) async throws {
  let attempt = try await store.claim(id, engine: "crash", pid: getpid())
  let end = AttemptEnd.success(result: ["attempt": .int(Int64(attempt))], artifacts: [])
  if case .recorded(.succeeded) = try await store.finish(id, attempt: attempt, end) { say("F \(id) \(attempt)") }
}

func work(_ store: JobStore, worker: Int) async throws {
  var round = worker
  while true {
    let request = JobRequest(
      kind: .llm, model: "m", task: ["round": .int(Int64(round))],
      idempotencyKey: round.isMultiple(of: 3) ? "\(getpid())-\(worker)-\(round)" : nil)
    let id = try await store.submit(request).id
    say("S \(id)")
    round += 1
    switch Int.random(in: 0..<12) {
    case 0:
      _ = try await store.requestCancel(id)
      say("C \(id)")
    case 1:
      let attempt = try await store.claim(id, engine: "crash", pid: getpid())
      _ = try await store.loseAttempt(
        id, attempt: attempt, outcome: .lost, failure: JobFailure(.engineFault, "died"), countsAgainstJob: false)
      say("L \(id)")
      try await finish(id, store)
    case 2: break
    default: try await finish(id, store)
    }
  }
}

func bench(_ store: JobStore, jobs: Int) async throws {
  let clock = ContinuousClock()
  let elapsed = try await clock.measure {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<jobs / 8 {
            let id = try await store.submit(JobRequest(kind: .llm, model: "m", task: ["prompt": "hello"])).id
            let attempt = try await store.claim(id, engine: "bench", pid: 1)
            let end = AttemptEnd.success(result: ["text": "world"], artifacts: [])
            _ = try await store.finish(id, attempt: attempt, end)
          }
        }
      }
      try await group.waitForAll()
    }
  }
  let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
  let statistics = store.statistics
  say("\(Int(Double(jobs) / seconds)) jobs/s")
  say("\(statistics.operations) operations, \(statistics.commits) commits, \(statistics.syncedCommits) synced")
  say("largest batch \(statistics.largestBatch), fsync share of the writer's time \(statistics.syncShare)")
  let each = Double(statistics.syncNanoseconds) / 1e6 / Double(max(1, statistics.syncedCommits))
  say("\(each) ms a synced commit, \(Double(statistics.syncNanoseconds) / 1e9 / seconds) of the wall time")
}

let arguments = CommandLine.arguments
guard arguments.count >= 3 else { exit(64) }
do {
  let store = try JobStore.open(directory: arguments[2])
  if arguments[1] == "bench" {
    try await bench(store, jobs: arguments.count > 3 ? Int(arguments[3]) ?? 8000 : 8000)
  } else {
    let left = try await store.queuedIndex()
    say("O \(left.count)")
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { for job in left { try await finish(job.id, store) } }
      for worker in 0..<7 { group.addTask { try await work(store, worker: worker) } }
      try await group.waitForAll()
    }
  }
  try store.close()
} catch {
  say("E \(error)")
  exit(1)
}
