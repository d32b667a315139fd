import Foundation
import PluginProtocol
import Testing

@testable import Host

struct JobStoreCrashTests {
  /// Built into the same directory as the tests.
  private static let helper = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appendingPathComponent("store-crash-helper").path

  /// What one life of the helper said that the store had acknowledged.
  private struct Life: Sendable {
    var submitted: [JobID] = []
    var finished: [(JobID, Int)] = []
    var cancelled: [JobID] = []
    var errors: [String] = []
  }

  /// Runs the helper until it has said so many lines, kills it, and reads what else it had said.
  private static func live(_ directory: String, lines wanted: Int) throws -> Life {
    let process = try JobsTestProcess([Self.helper, "work", directory])
    var text: [UInt8] = []
    while text.count(where: { $0 == 0x0A }) < wanted, case let more = process.read(), !more.isEmpty { text += more }
    let end = process.kill()
    #expect(end.status & 0x7F == SIGKILL)
    text += end.rest
    var life = Life()
    for line in String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: true) {
      let words = line.split(separator: " ")
      let id = words.count > 1 ? JobID(words[1]) : nil
      switch (words[0], id) {
      case ("S", let id?): life.submitted.append(id)
      case ("F", let id?): life.finished.append((id, Int(words[2]) ?? 0))
      case ("C", let id?): life.cancelled.append(id)
      case ("L", _), ("O", _): break
      default: life.errors.append(String(line))
      }
    }
    return life
  }

  @Test(.timeLimit(.minutes(3))) func killedTenTimesItLosesNothingAndShowsNothingTwice() async throws {
    try await withJobsDirectory { directory async throws in
      var submitted: Set<JobID> = []
      var finished: [JobID: Int] = [:]
      var cancelled: Set<JobID> = []
      for round in 0..<10 {
        // Anywhere from the first moments on, whatever the helper's eight tasks are doing just then.
        let lines = Int.random(in: 1...(round.isMultiple(of: 2) ? 60 : 600))
        let life = try await offThePool { try Self.live(directory, lines: lines) }
        #expect(life.errors.isEmpty, "\(life.errors)")
        for id in life.submitted { #expect(submitted.insert(id).inserted, "\(id) was given out twice") }
        for (id, attempt) in life.finished {
          #expect(finished.updateValue(attempt, forKey: id) == nil, "\(id) was finished twice")
        }
        cancelled.formUnion(life.cancelled)
        try await withJobStore(directory) { store async throws in
          #expect(store.openReport.checkedAfterCrash)
          #expect(store.openReport.corruptedKept == nil)
          #expect(store.openReport.failed == 0)
          for id in submitted { try await check(try await store.job(id), finished[id], cancelled.contains(id)) }
          #expect(store.counts[.running] == 0)
          #expect(store.counts[.failed] == 0)
          #expect(store.counts[.succeeded] >= finished.count)
        }
      }
      #expect(submitted.count >= 200)
      #expect(finished.count >= 100)
      // Nothing is left that cannot be ended: every job ends in one life without a kill.
      try await withJobStore(directory) { store async throws in
        let success = AttemptEnd.success(result: [:], artifacts: [])
        for job in try await store.queuedIndex() {
          let attempt = try await store.claim(job.id, engine: "last", pid: 1)
          #expect(attempt == job.attempts + 1)
          #expect(try await store.finish(job.id, attempt: attempt, success) == .recorded(.succeeded))
        }
        #expect(store.counts[.queued] == 0)
        for id in submitted { #expect(try await store.job(id).state.isTerminal) }
      }
    }
  }

  private func check(_ job: Job, _ finishedBy: Int?, _ wasCancelled: Bool) async throws {
    #expect(job.attempts.map(\.number) == Array(1..<job.attempts.count + 1))
    #expect(job.attempts.allSatisfy { $0.outcome != nil })
    #expect(job.attempts.count { $0.outcome == .succeeded } == (job.state == .succeeded ? 1 : 0))
    if let finishedBy {
      #expect(job.state == .succeeded)
      #expect(job.result == ["attempt": .int(Int64(finishedBy))])
      #expect(job.attempts.last?.number == finishedBy)
    }
    if job.state == .succeeded { #expect(job.attempts.last?.outcome == .succeeded) }
    if wasCancelled { #expect(job.state == .cancelled) }
  }
}
