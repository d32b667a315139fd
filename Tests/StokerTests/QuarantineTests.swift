import ArgumentParser
import Foundation
import PluginProtocol
import Testing

@testable import Host
@testable import stoker

struct QuarantineTests {
  static let evidence: JSONValue = [
    "pid": 7, "signal": "SIGABRT", "blame": "alone", "stderr": ["assertion failed\u{1B}[2J"],
    "wire": [
      ["direction": "toEngine", "bytes": 90, "msBeforeEnd": 12, "frame": "{\"method\":\"job/run\"}"],
      ["direction": "fromEngine", "bytes": 5, "frame": "{…"],
    ],
  ]

  @Test func theTableIsAligned() {
    let quarantined: [JSONValue] = [
      [
        "name": "llama", "contentHash": .string(String(repeating: "ab", count: 32)),
        "since": "1970-01-01T00:00:00.000Z",
        "reason": "it died 5 times in 180 s; last: SIGSEGV",
      ],
      [
        "name": "a-much-longer-name", "contentHash": "0123456789abcdef", "since": "1970-01-01T00:00:04.000Z",
        "reason": "x",
      ],
    ]
    let lines = Quarantines.table(quarantined, now: 5000).lines(for: Transcript().console())
    #expect(lines.count == 3 && lines[0].hasPrefix("PLUGIN"))
    #expect(lines[1].contains("abababababab ") && lines[1].contains("5 s ago") && lines[1].contains("SIGSEGV"))
    let columns = lines.map { $0.range(of: $0.hasPrefix("PLUGIN") ? "HASH" : $0.hasPrefix("llama") ? "abab" : "0123") }
    #expect(
      Set(zip(lines, columns).map { $0.distance(from: $0.startIndex, to: $1?.lowerBound ?? $0.endIndex) }).count == 1)
  }

  @Test func evidenceIsReadable() {
    let expected = [
      "pid 7 · signal SIGABRT · it had nothing else in hand", "stderr  assertion failed\u{1B}[2J",
      "wire -> 12 ms before  {\"method\":\"job/run\"}", "wire <-  {…",
    ]
    #expect(EvidenceText.lines(QuarantineTests.evidence) == expected)
    let story: JSONValue = ["class": "engine_fault", "message": "it died", "evidence": QuarantineTests.evidence]
    #expect(
      EvidenceText.lines([story, story]) == (["it died"] + expected.map { "  " + $0 })
        + (["it died"] + expected.map { "  " + $0 }))
    #expect(
      EvidenceText.lines("text") == nil && EvidenceText.lines(["a", "b"]) == nil && EvidenceText.lines([:]) == nil)
  }

  @Test func inspectShowsTheLastCrashAndAJobWhatItWaitsFor() throws {
    let answer: JSONValue = [
      "plugin": ["name": "llama", "state": "quarantined"], "counters": ["crashes": 5],
      "history": [
        [
          "at": "1970-01-01T00:00:00.000Z", "event": "crashed", "detail": "killed by SIGABRT", "pid": 7,
          "evidence": QuarantineTests.evidence,
        ], ["at": "1970-01-01T00:00:01.000Z", "event": "quarantined", "detail": "it died 5 times"],
      ],
    ]
    let text = PluginScreen.details(answer, now: 5000, for: Transcript().console(terminal: true)).joined(
      separator: "\n")
    for expected in [
      "crashed (pid 7): killed by SIGABRT", "the last crash, 5 s ago", "assertion failed␛[2J", "quarantined: it died 5",
    ] { #expect(text.contains(expected), "\(expected) is not in \(text)") }
    let job = try JobView(["job": ["id": "j", "state": "queued", "waitsFor": "no plugin here serves it"]])
    #expect(
      JobDetails(job: job, now: 0).text(for: Transcript().console()).contains("waits       no plugin here serves it"))
  }

  @Test func marksAreChangedWithoutAWorker() throws {
    let home = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: home + "/state", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: home) }
    let global = try GlobalOptions.parse(["--home", home])
    try Quarantines.marks(global).setQuarantine("0123456789", PluginMarks.Quarantine(name: "llama", reason: "r", at: 1))
    #expect(try Quarantines.marks(global).lift("llama").map(\.hash) == ["0123456789"])
    #expect(try Quarantines.marks(global).quarantines.isEmpty)
    try "{".write(toFile: home + "/state/plugins.json", atomically: true, encoding: .utf8)
    #expect(throws: CLIError.self) { try Quarantines.marks(global) }
  }
}
