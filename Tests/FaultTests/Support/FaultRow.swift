import Foundation
import Glibc
import Host
import PluginProtocol
import Testing

/// One row of the fault matrix under way: a worker with an engine that misbehaves and one that does not.
struct FaultRow: Sendable {
  let number: String
  let home: TestHome
  let host: HostUnderTest
  let chaos: ChaosPlugin
  static let healthy = ChaosPlugin(name: "healthy")

  func measured(_ what: String, _ took: Duration, bound: Duration) {
    FaultTests.measured(number, what, took, bound: bound)
  }

  /// A job of the misbehaving engine, seen to run.
  func running(_ task: JSONValue) async throws -> String {
    let id = try await host.submit(chaos, task)
    try await host.seen("the start of the job", id) { $0.state == "running" }
    return id
  }

  /// The misbehaving engine's process, once it is there.
  func engine(not former: Int32? = nil) async throws -> Int32 {
    try await until("an engine of \(chaos.name)") {
      let pid = try await host.engine(chaos.name)
      return pid == former ? nil : pid
    }.value
  }

  /// The log names the engine and what was wrong with it.
  func expectLog(_ evidence: String, sourceLocation: SourceLocation = #_sourceLocation) {
    let lines = home.hostLog.split(separator: "\n")
    #expect(
      lines.contains { $0.contains(" \(chaos.name): ") && $0.contains(evidence) },
      "no line of the log names \(evidence):\n\(home.hostLog)", sourceLocation: sourceLocation)
  }
}

/// Runs a row: brings both engines up, takes a census, lets `fault` happen beside a healthy job, and looks at what is left.
///
/// - Parameters:
///   - warm: the misbehaving engine can start, and is running before the fault.
///   - engines: engines that run when all is over, the healthy one among them.
func withFaultRow(
  _ number: String, _ chaos: ChaosPlugin = ChaosPlugin(), configuration: String = "", warm: Bool = true,
  engines: Int = 2,
  _ fault: (FaultRow) async throws -> Void
) async throws {
  try await withTestHome { home in
    try home.configure(configuration)
    try home.install(chaos)
    try home.install(FaultRow.healthy)
    let host = try await HostUnderTest.start(home)
    let row = FaultRow(number: number, home: home, host: host, chaos: chaos)
    for plugin in warm ? [FaultRow.healthy, chaos] : [FaultRow.healthy] {
      let first = try await host.finished(try await host.submit(plugin))
      #expect(first.state == "succeeded", "\(first)")
    }
    let healthyPID = try await host.engine(FaultRow.healthy.name)
    let before = try await settled(host, since: nil, engines: warm ? 2 : 1)

    let beside = try await host.submit(FaultRow.healthy, ["ms": 300])
    try await fault(row)
    let neighbour = try await host.finished(beside)
    #expect(neighbour.state == "succeeded" && neighbour.attempts.count == 1, "\(neighbour)")
    let after = try await host.finished(try await host.submit(FaultRow.healthy))
    #expect(after.state == "succeeded" && after.attempts.count == 1, "\(after)")
    #expect(try await host.engine(FaultRow.healthy.name) == healthyPID, "the healthy engine was disturbed")

    try await settled(host, since: before, engines: engines)
    try await stopInOrder(host)
    try await checkJobs(home)
  }
}

/// Waits until nothing is left that does not belong to `engines` living ones.
@discardableResult
func settled(_ host: HostUnderTest, since before: Census?, engines: Int) async throws -> Census {
  var last = host.census
  do {
    try await until("the end of everything that the fault left", within: .seconds(10)) {
      last = host.census
      return last.leftovers(since: before ?? last, engines: engines).isEmpty
    }
  } catch is NotInTime {
    Issue.record("left behind: \(last.leftovers(since: before ?? last, engines: engines).joined(separator: "; "))")
  }
  return last
}

/// Stops a worker by SIGTERM: it ends in time, and nothing of it is left.
func stopInOrder(_ host: HostUnderTest) async throws {
  host.signal(SIGTERM)
  let (end, after) = try await host.ended()
  #expect(end == .exited(0), "\(end)\n\(host.home.hostLog)")
  #expect(after <= .seconds(12), "the worker took \(after.short) to stop")
  expectNothingLeft(host.home)
}

/// No process, socket, record or file of a worker's life is left.
func expectNothingLeft(_ home: TestHome, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(Census.family(of: home).isEmpty, sourceLocation: sourceLocation)
  #expect(home.monitorRecords.isEmpty, sourceLocation: sourceLocation)
  #expect(home.litter.isEmpty, sourceLocation: sourceLocation)
  #expect(!FileManager.default.fileExists(atPath: home.socket), sourceLocation: sourceLocation)
}

/// Reads the database of a worker that is gone: each job has one terminal state, one deciding attempt, and that one's files.
@discardableResult
func checkJobs(_ home: TestHome) async throws -> [Job] {
  let store = try JobStore.open(directory: home.data)
  let jobs = try await store.jobs(JobFilter(limit: 1000))
  #expect(store.openReport.requeued == 0, "attempts were still under way when the worker stopped in order")
  for job in jobs {
    #expect(job.state.isTerminal, "job \(job.id) is \(job.state)")
    expectConsistent(job, home)
  }
  try store.close()
  return jobs
}

/// What a job shows is one attempt's, and no other's.
func expectConsistent(_ job: Job, _ home: TestHome, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(job.attempts.map(\.number) == Array(1...max(1, job.attempts.count)).prefix(job.attempts.count).map { $0 })
  #expect(job.attempts.allSatisfy { $0.outcome != nil }, "\(job.attempts)", sourceLocation: sourceLocation)
  let good = job.attempts.filter { $0.outcome == .succeeded }
  #expect(good.count == (job.state == .succeeded ? 1 : 0), "\(job.attempts)", sourceLocation: sourceLocation)
  guard job.state == .succeeded, let last = job.attempts.last else {
    #expect(job.result == nil && job.artifacts.isEmpty, sourceLocation: sourceLocation)
    return
  }
  #expect(
    last.outcome == .succeeded && job.result?["attempt"]?.int == Int64(last.number), sourceLocation: sourceLocation)
  #expect(job.result?["job"]?.string == job.id.description, sourceLocation: sourceLocation)
  let directories = home.entries("\(home.data)/jobs/\(job.id)")
  #expect(directories == (job.artifacts.isEmpty ? [] : ["\(last.number)"]), sourceLocation: sourceLocation)
  for artifact in job.artifacts {
    let text = try? String(contentsOfFile: artifact.path, encoding: .utf8)
    #expect(text == "\(job.id) \(last.number)\n", sourceLocation: sourceLocation)
  }
}
