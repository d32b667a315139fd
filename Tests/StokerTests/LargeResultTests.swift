import Crypto
import Foundation
import Host
import PluginProtocol
import Testing

@testable import stoker

/// A result above a megabyte lies in a file; commands show it as if it did not.
struct LargeResultTests {
  private final class Place {
    let path = NSTemporaryDirectory() + "large-result-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func text(_ name: String) throws -> String { try String(contentsOfFile: path + "/" + name, encoding: .utf8) }

    /// Writes a file as an artifact and describes it as a worker does.
    func artifact(_ name: String, _ content: [UInt8], at file: String? = nil) throws -> JSONValue {
      let file = path + "/" + (file ?? name)
      try Data(content).write(to: URL(filePath: file))
      let sum = SHA256.hash(data: content).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      return [
        "name": .string(name), "path": .string(file), "bytes": JSONValue(content.count), "sha256": .string(sum),
        "contentType": "application/octet-stream",
      ]
    }
  }

  private static let words = String(repeating: "word ", count: 300_000)
  private static let result: JSONValue = [
    "text": .string(words), "segments": [["start": 0, "end": 1.5, "text": "Hello."]],
  ]

  /// A finished transcription whose result lies in the last of its artifacts.
  private func job(_ place: Place, before: [JSONValue] = [], kind: String = "audio_stt") throws -> JSONValue {
    let artifact = try place.artifact("result.json", Self.result.bytes, at: "spilled")
    return [
      "id": .string(jobID), "kind": .string(kind), "model": "m", "state": "succeeded",
      "artifacts": .array(before + [artifact]), "attempts": [],
      "result": ["file": "result.json", "bytes": artifact["bytes"] ?? 0],
    ]
  }

  /// What follows a job does with it at its end.
  private func follow(
    _ job: JSONValue, _ transcript: Transcript, isJSON: Bool = false, output: String? = nil,
    format: TranscriptFormat? = nil
  ) async throws {
    let worker = ScriptedWorker(["jobs/watch": { _, _ in ["job": job] }])
    let (events, _) = AsyncStream.makeStream(of: SignalWatch.Event.self)
    let runner = JobRunner(
      connection: InProcessConnection(worker), console: transcript.console(), isJSON: isJSON, output: output,
      transcript: format)
    try await runner.follow(jobID, events: events) { _ in }
  }

  @Test func subtitlesAreMadeOfIt() async throws {
    let place = try Place()
    try await follow(try job(place), Transcript(), output: place.path + "/x.srt", format: .srt)
    #expect(try place.text("x.srt") == "1\n00:00:00,000 --> 00:00:01,500\nHello.\n")
  }

  @Test func itsTextIsPrintedOrWritten() async throws {
    let place = try Place()
    let transcript = Transcript()
    try await follow(try job(place), transcript)
    #expect(transcript.out == Self.words + "\n")
    try await follow(try job(place), Transcript(), output: place.path + "/x.txt")
    #expect(try place.text("x.txt") == Self.words + "\n")
  }

  @Test func asJSONItIsTheResultAndNoFile() async throws {
    let place = try Place()
    let transcript = Transcript()
    try await follow(try job(place), transcript, isJSON: true)
    let shown = try JSONValue(parsing: transcript.out)
    #expect(shown["result"] == Self.result && shown["artifacts"] == [])
    try await follow(try job(place), Transcript(), isJSON: true, output: place.path + "/x.json")
    #expect(try JSONValue(parsing: place.text("x.json")) == Self.result)
  }

  @Test func theFilesThatTheEngineMadeAreTheOnesDelivered() async throws {
    let place = try Place()
    // The engine's own file of that name stays one: the last is the host's.
    let made = try place.artifact("result.json", Array("mine".utf8))
    try await follow(
      try job(place, before: [made], kind: "image"), Transcript(), output: place.path + "/x.json")
    #expect(try place.text("x.json") == "mine")
  }

  @Test func aFileThatChangedOrIsGoneIsNoResult() async throws {
    let place = try Place()
    let job = try job(place)
    try Data(Self.result.bytes.dropLast(2) + Array(" }".utf8)).write(to: URL(filePath: place.path + "/spilled"))
    let transcript = Transcript()
    for _ in 0..<2 {
      await #expect {
        try await follow(job, transcript, output: place.path + "/x")
      } throws: { CLIError($0).errorClass == "bad_artifact" && CLIError($0).message.contains(jobID) }
      try? FileManager.default.removeItem(atPath: place.path + "/spilled")
    }
    #expect(!FileManager.default.fileExists(atPath: place.path + "/x"))
  }

  @Test func aSmallResultWithTheseMembersAndNoSuchFileIsLeftAlone() async throws {
    var members = try #require(try job(try Place()).object)
    members["artifacts"] = []
    let transcript = Transcript()
    try await follow(.object(members), transcript, isJSON: true)
    #expect(try JSONValue(parsing: transcript.out)["result"] == members["result"])
  }
}
