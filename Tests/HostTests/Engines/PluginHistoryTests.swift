import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

struct PluginHistoryTests {
  private func withDirectory(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-history-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  private func record(_ directory: String, _ name: String = "chaos") -> PluginRecord {
    PluginRecord(file: PluginHistoryFile.open(name, in: directory) { Issue.record("\($0)") })
  }

  private func details(_ record: PluginRecord) -> [String] { record.snapshot.history.map(\.detail) }

  @Test func historyAndCountersOutliveTheWorker() throws {
    try withDirectory { directory in
      let first = record(directory)
      let process = first.begin(version: "1", devices: [])
      first.note("started", "version 1", pid: 7)
      var counters = EngineSession.Counters()
      counters.noise = 3
      first.update { $0.counters.crashes = 2 }
      first.end(process, counters)
      first.note("crashed", "SIGSEGV\n\u{1B}[2J", pid: 7, evidence: ["signal": "SIGSEGV"])
      let second = record(directory).snapshot
      #expect(second.history == first.snapshot.history && second.counters == first.snapshot.counters)
      #expect(second.counters.starts == 1 && second.counters.session.noise == 3)
      #expect(second.lastEvidence?.evidence == ["signal": "SIGSEGV"])
      #expect(second.history.last?.detail.contains("\u{1B}") == false)
      let file = directory + "/chaos.jsonl"
      let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
      #expect(mode == 0o600)
    }
  }

  @Test func tornLinesAreLeftOutAndTheRestStays() throws {
    try withDirectory { directory in
      let first = record(directory)
      for number in 1...3 { first.note("event", "\(number)") }
      let file = directory + "/chaos.jsonl"
      let whole = try String(contentsOfFile: file, encoding: .utf8)
      for cut in 1..<40 {
        try String(whole.dropLast(cut)).write(toFile: file, atomically: false, encoding: .utf8)
        let again = record(directory)
        #expect(details(again) == (cut == 1 ? ["1", "2", "3"] : ["1", "2"]))
        again.note("event", "next")
        #expect(details(record(directory)).last == "next", "what comes after a torn line is whole")
      }
      try Data([0, 0xFF, 0x0A] + Array("[]\n{\"n\":\"x\"}\n{}\n".utf8)).write(to: URL(fileURLWithPath: file))
      #expect(details(record(directory)).isEmpty)
    }
  }

  @Test func neitherMemoryNorFileGrowsWithoutBound() throws {
    try withDirectory { directory in
      let record = record(directory)
      let long = String(repeating: "x", count: 5000)
      var largest = 0
      // Past the bound in bytes, then past the one in lines.
      for number in 1...450 {
        let evidence: JSONValue = ["stderr": [.string(String(repeating: "y", count: 30_000))]]
        if number <= 45 {
          record.note("crashed", "\(number) \(long)", evidence: evidence)
        } else {
          record.note("crashed", "\(number) \(long)")
        }
        let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/chaos.jsonl")
        largest = max(largest, (attributes[.size] as? Int) ?? 0)
        if number == 45 {
          #expect(record.snapshot.history.filter { $0.evidence != nil }.count == PluginRecord.evidenceKept)
          #expect(self.record(directory).snapshot.history == record.snapshot.history)
        }
      }
      #expect(record.snapshot.history.count == PluginRecord.historyKept)
      #expect(largest <= PluginHistoryFile.longest.bytes + 40_000, "\(largest)")
      let again = self.record(directory).snapshot.history
      #expect(again == record.snapshot.history)
    }
  }

  @Test func manyWritersLoseNothing() async throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-history-\(UUID().uuidString)")
      .path
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let record = record(directory)
    await withTaskGroup(of: Void.self) { group in
      for writer in 0..<8 {
        group.addTask { for number in 0..<20 { record.note("event", "\(writer) \(number)") } }
      }
    }
    #expect(Set(details(self.record(directory))) == Set(details(record)) && details(record).count == 160)
  }

  @Test func aFileThatCannotBeWrittenIsSaidOnceAndStopsNothing() throws {
    try withDirectory { directory in
      let said = Mutex<[String]>([])
      let record = PluginRecord(
        file: PluginHistoryFile.open("chaos", in: directory) { text in said.withLock { $0.append(text) } })
      try FileManager.default.createDirectory(
        atPath: directory + "/chaos.jsonl", withIntermediateDirectories: true)
      for number in 1...5 { record.note("event", "\(number)") }
      #expect(details(record).count == 5 && said.withLock { $0.count } == 1)
    }
  }

  @Test(arguments: ["", "..", "a/b", "A", "a.b", String(repeating: "a", count: 41)])
  func namesThatAreNoneHaveNoFile(name: String) throws {
    try withDirectory { directory in
      #expect(PluginHistoryFile.open(name, in: directory) { _ in } == nil)
    }
  }

  @Test func filesOfForgottenPluginsGo() throws {
    try withDirectory { directory in
      for number in 0..<(PluginHistoryFile.kept + 5) { record(directory, "p\(number)").note("event", "x") }
      PluginHistoryFile.prune(directory)
      let left = try FileManager.default.contentsOfDirectory(atPath: directory)
      #expect(left.count == PluginHistoryFile.kept)
    }
  }

  @Test func twoVersionsInOneSlotAreBothSeen() {
    let record = PluginRecord()
    let old = record.begin(version: "1", devices: [])
    let new = record.begin(version: "2", devices: [])
    record.update(old) { $0.pid = 1 }
    record.update(new) { $0.pid = 2 }
    #expect(Set(record.snapshot.processes.values.map(\.version)) == ["1", "2"])
    record.end(old)
    record.end(old)
    #expect(record.snapshot.processes.values.map(\.pid) == [2])
  }

  @Test func whatRunningProcessesCountIsInTheTotal() {
    let record = PluginRecord()
    let process = record.begin(version: "1", devices: [])
    var counters = EngineSession.Counters()
    counters.noise = 5
    let live = counters
    record.update(process) { $0.counters = { live } }
    #expect(record.snapshot.total.session.noise == 5 && record.snapshot.counters.session.noise == 0)
    record.end(process, live)
    #expect(record.snapshot.total.session.noise == 5)
  }
}
