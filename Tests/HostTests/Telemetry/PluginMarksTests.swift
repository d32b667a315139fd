import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

struct PluginMarksTests {
  private func withFile(_ body: (String) async throws -> Void) async throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-marks-\(UUID().uuidString)")
      .path
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await body(directory + "/plugins.json")
  }

  private func open(_ path: String) -> (marks: PluginMarks, problems: [String]) {
    let problems = Mutex<[String]>([])
    let marks = PluginMarks(path: path) { problem in problems.withLock { $0.append(problem) } }
    return (marks, problems.withLock { $0 })
  }

  @Test func marksOutliveTheProcess() async throws {
    try await withFile { path in
      let (first, problems) = open(path)
      #expect(problems.isEmpty && !first.hasQuarantines)
      let mark = PluginMarks.Quarantine(name: "llama", reason: "died \"5\" times\n", at: 7)
      try first.setDisabled("echo", true)
      try first.setDisabled("other", true)
      try first.setDisabled("other", false)
      try first.setQuarantine("abc", mark)
      try first.setQuarantine("def", PluginMarks.Quarantine(name: "sdxl", reason: "r", at: 8))
      let second = open(path).marks
      #expect(second.isDisabled("echo") && !second.isDisabled("other"))
      #expect(second.quarantine("abc") == mark)
      try second.lift("llama")
      let third = open(path).marks
      #expect(third.quarantine("abc") == nil && third.quarantine("def") != nil && third.isDisabled("echo"))
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: (path as NSString).deletingLastPathComponent) == [
          "plugins.json"
        ])
    }
  }

  @Test(arguments: [
    "", "{", "[1]", "\u{0}\u{1}", #"{"disabled": 7, "quarantined": []}"#, String(repeating: "[", count: 100_000),
  ])
  func aDamagedFileIsBegunAnew(content: String) async throws {
    try await withFile { path in
      try Data(content.utf8).write(to: URL(fileURLWithPath: path))
      let (marks, problems) = open(path)
      #expect(!marks.isDisabled("echo") && !marks.hasQuarantines)
      #expect(problems.count == 1, "silence about a damaged file: \(problems)")
      #expect(problems.allSatisfy { $0.contains(path) })
      try marks.setDisabled("echo", true)
      #expect(open(path).problems.isEmpty)
      #expect(open(path).marks.isDisabled("echo"))
    }
  }

  @Test func aDirectoryAFIFOAndAHugeFileInItsPlaceAreSaid() async throws {
    try await withFile { path in
      try #require(mkfifo(path, 0o600) == 0)
      #expect(open(path).problems.count == 1)
      unlink(path)
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      let (marks, problems) = open(path)
      #expect(problems.count == 1)
      #expect(throws: (any Error).self) { try marks.setDisabled("echo", true) }
      try FileManager.default.removeItem(atPath: path)
      try Data(repeating: 0x20, count: 2 << 20).write(to: URL(fileURLWithPath: path))
      #expect(open(path).problems.count == 1)
    }
  }

  @Test func concurrentChangesAreAllKept() async throws {
    try await withFile { path in
      let marks = open(path).marks
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<64 { group.addTask { try marks.setDisabled("plugin\(number)", true) } }
        try await group.waitForAll()
      }
      let again = open(path)
      #expect(again.problems.isEmpty)
      for number in 0..<64 { #expect(again.marks.isDisabled("plugin\(number)")) }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: (path as NSString).deletingLastPathComponent) == [
          "plugins.json"
        ])
    }
  }

  @Test func aChangeThatCannotBeStoredHasNotHappened() async throws {
    try await withFile { path in
      let marks = open(path).marks
      let mark = PluginMarks.Quarantine(name: "llama", reason: "r", at: 1, evidence: ["signal": "SIGABRT"])
      try marks.setQuarantine("abcdef0123", mark)
      // A directory in the place of the new file cannot be written: root may write everywhere else.
      try FileManager.default.createDirectory(atPath: path + ".new", withIntermediateDirectories: false)
      #expect(throws: (any Error).self) { try marks.setDisabled("echo", true) }
      #expect(throws: (any Error).self) { try marks.lift("llama") }
      #expect(throws: (any Error).self) { try marks.setQuarantine("ffff", mark) }
      #expect(!marks.isDisabled("echo") && marks.quarantine("ffff") == nil)
      #expect(marks.quarantine("abcdef0123") == mark && open(path).marks.quarantine("abcdef0123") == mark)
      try FileManager.default.removeItem(atPath: path + ".new")
      try marks.setDisabled("echo", true)
      #expect(marks.isDisabled("echo") && open(path).marks.isDisabled("echo"))
    }
  }

  @Test func liftedByNameByHashAndByItsBeginning() async throws {
    try await withFile { path in
      let marks = open(path).marks
      for (number, hash) in ["0123456789abcdef", "0123456700000000", "fedcba9876543210"].enumerated() {
        try marks.setQuarantine(
          hash, PluginMarks.Quarantine(name: number == 2 ? "sdxl" : "llama", reason: "r", at: Int64(number)))
      }
      #expect(marks.quarantines.map(\.hash) == ["0123456789abcdef", "0123456700000000", "fedcba9876543210"])
      #expect(try marks.lift("nobody").isEmpty)
      #expect(try marks.lift("0123456").isEmpty, "too short to be meant")
      #expect(try marks.lift("012345678").map(\.hash) == ["0123456789abcdef"])
      #expect(try marks.lift("FEDCBA98").map(\.mark.name) == ["sdxl"])
      #expect(try marks.lift("llama").map(\.hash) == ["0123456700000000"])
      #expect(!marks.hasQuarantines && open(path).marks.quarantines.isEmpty)
    }
  }

  @Test func changesOfAnotherProgramAreKept() async throws {
    try await withFile { path in
      let (worker, command) = (open(path).marks, open(path).marks)
      try worker.setQuarantine("abc", PluginMarks.Quarantine(name: "llama", reason: "r", at: 1))
      try command.setDisabled("echo", true)
      #expect(command.quarantine("abc") != nil, "it has read what the other one wrote")
      try worker.setDisabled("other", true)
      #expect(worker.isDisabled("echo") && worker.isDisabled("other"))
    }
  }

  @Test func quarantinesOfLongAgoGoAndHugeEvidenceIsNotKept() async throws {
    try await withFile { path in
      let marks = open(path).marks
      let huge: JSONValue = .string(String(repeating: "x", count: 1 << 20))
      for number in 0..<(PluginMarks.kept + 3) {
        try marks.setQuarantine(
          "hash\(number)",
          PluginMarks.Quarantine(
            name: "llama", reason: "r", at: Int64(number),
            evidence: number % 2 == 0 ? huge : .string(String(repeating: "y", count: 40_000))))
      }
      let again = open(path)
      #expect(again.problems.isEmpty && again.marks.quarantines.count == PluginMarks.kept)
      #expect(again.marks.quarantine("hash2") == nil && again.marks.quarantine("hash3") != nil)
      #expect(again.marks.quarantines.allSatisfy { ($0.mark.evidence?.string?.utf8.count ?? 0) <= 40_000 })
    }
  }
}
