import Foundation
import PluginProtocol
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(2)))
struct ResultCollectionTests {
  /// One attempt of a job, with its work directory.
  private func attempt(_ body: (InputBench, JobID, String) async throws -> Void) async throws {
    try await InputBench.with { bench in
      let id = try await bench.submit(["prompt": "x"])
      let (_, work, _) = try await bench.attempt(id)
      try await body(bench, id, work)
    }
  }

  private func write(_ text: String, _ path: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }

  @Test func anOutputInTheAnswerAndOneInAFileAreTheSame() async throws {
    try await attempt { bench, id, work in
      let inline = try await bench.stage.collect(
        JobRunResult(output: ["a": 1], usage: ["steps": 2]), of: id, attempt: 1)
      #expect(inline == CollectedResult(result: ["a": 1, "usage": ["steps": 2]], artifacts: []))
      // What is empty has been removed with that.
      try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false)
      try write(#"{"a":1}"#, work + "/o")
      try write("x", work + "/image.png")
      let answer = JobRunResult(
        outputFile: OutputFile(name: "o", bytes: 7),
        artifacts: [ArtifactDeclaration(name: "image.png", contentType: "image/png", bytes: 1)])
      let filed = try await bench.stage.collect(answer, of: id, attempt: 1)
      #expect(filed.result == ["a": 1] && filed.artifacts.map(\.name) == ["image.png"])
    }
  }

  @Test("a result above a megabyte lies in a file, and comes back whole", arguments: [false, true])
  func large(_ isFile: Bool) async throws {
    try await attempt { bench, id, work in
      let output: JSONValue = ["text": .string(String(repeating: "é", count: 2_000_000))]
      try write("mine", work + "/result.json")
      var answer = JobRunResult(
        output: output,
        artifacts: [ArtifactDeclaration(name: "result.json", contentType: "text/plain", bytes: 4)], usage: ["n": 1])
      if isFile {
        try Data(output.bytes).write(to: URL(filePath: work + "/output.json"))
        answer.output = [:]
        answer.outputFile = OutputFile(name: "output.json", bytes: UInt64(output.bytes.count))
      }
      let collected = try await bench.stage.collect(answer, of: id, attempt: 1)
      #expect(collected.artifacts.map(\.name) == ["result.json", "result-1.json"])
      let artifact = try #require(collected.artifacts.last)
      #expect(collected.result == ["file": "result-1.json", "bytes": .int(artifact.bytes)])
      let end = AttemptEnd.success(result: collected.result, artifacts: collected.artifacts)
      #expect(try await bench.store.finish(id, attempt: 1, end) == .recorded(.succeeded))
      let sum = try #require(
        try JSONSerialization.jsonObject(with: Data(bytes(at: artifact.path) ?? [])) as? [String: Any])
      #expect((sum["text"] as? String)?.count == 2_000_000)
      let job = try await bench.store.job(id)
      #expect(try InputStage.whole(job) == ["text": output["text"] ?? .null, "usage": ["n": 1]])
      #expect(job.json.bytes.count < 4096)
    }
  }

  @Test(
    "an output that looks like the host's mark is kept in a file: the mark always means one",
    arguments: [
      ["file": "result.json", "bytes": 5], ["file": "a.txt", "bytes": 5.0], ["file": 7, "bytes": nil],
    ] as [JSONValue])
  func mark(_ output: JSONValue) async throws {
    try await attempt { bench, id, work in
      try write("x", work + "/a.txt")
      let answer = JobRunResult(
        output: output, artifacts: [ArtifactDeclaration(name: "a.txt", contentType: "text/plain", bytes: 1)])
      let collected = try await bench.stage.collect(answer, of: id, attempt: 1)
      #expect(collected.artifacts.map(\.name) == ["a.txt", "result.json"])
      let end = AttemptEnd.success(result: collected.result, artifacts: collected.artifacts)
      #expect(try await bench.store.finish(id, attempt: 1, end) == .recorded(.succeeded))
      let job = try await bench.store.job(id)
      #expect(job.result == ["file": "result.json", "bytes": .int(Int64(output.bytes.count))])
      #expect(try InputStage.whole(job) == output)
    }
  }

  @Test(
    "an output's file is as hostile as any",
    arguments: ["missing", "link", "hard", "fifo", "directory", "../o", "short", "list", "broken", "duplicate", "deep"])
  func hostile(_ name: String) async throws {
    try await attempt { bench, id, work in
      try write("{}", bench.folder.path + "/o")
      try FileManager.default.createSymbolicLink(atPath: work + "/link", withDestinationPath: bench.folder.path + "/o")
      try FileManager.default.linkItem(atPath: bench.folder.path + "/o", toPath: work + "/hard")
      mkfifo(work + "/fifo", 0o600)
      mkdir(work + "/directory", 0o700)
      try write("{ }", work + "/short")
      try write("[]", work + "/list")
      try write("{", work + "/broken")
      try write(#"{"a":1,"a":2}"#, work + "/duplicate")
      try write(#"{"a":"# + String(repeating: "[", count: 100), work + "/deep")
      let size = name == "short" ? 2 : (bytes(at: work + "/" + name)?.count ?? 2)
      try write("x", work + "/a.txt")
      let answer = JobRunResult(
        outputFile: OutputFile(name: name, bytes: UInt64(size)),
        artifacts: [ArtifactDeclaration(name: "a.txt", contentType: "text/plain", bytes: 1)])
      let error = await #expect(throws: ArtifactError.self) {
        try await bench.stage.collect(answer, of: id, attempt: 1)
      }
      #expect(error?.failure.errorClass == "bad_artifact", "\(String(describing: error))")
      #expect(!fileExists(bench.store.artifacts.artifactDirectory(id, attempt: 1)))
    }
  }

  @Test func anOutputHasALimit() async throws {
    try await attempt { bench, id, work in
      try write("", work + "/o")
      truncate(work + "/o", 65 << 20)
      let answer = JobRunResult(outputFile: OutputFile(name: "o", bytes: 65 << 20))
      let error = await #expect(throws: ArtifactError.self) {
        try await bench.stage.collect(answer, of: id, attempt: 1)
      }
      #expect(error?.reason.contains("67108864") == true)
    }
  }
}
