import Foundation
import PluginProtocol
import Testing
import WireTestSupport

/// Compatibility data that may lie beside the repository; it is not part of it.
private enum StudioVectors {
  static let directory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared/vectors/studio").path

  static var exist: Bool { FileManager.default.fileExists(atPath: "\(directory)/results/synthetic.expectations.json") }

  static func read(_ path: String) throws -> JSONValue {
    try JSONValue(parsing: Array(try Data(contentsOf: URL(filePath: "\(directory)/\(path)"))))
  }

  static var taskFiles: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/tasks")) ?? []
    return names.filter { $0.hasSuffix(".json") }.sorted()
  }
}

@Suite(
  "Synthetic: the studio's vectors", .timeLimit(.minutes(2)),
  .enabled(if: StudioVectors.exist, "no ../shared/vectors/studio beside the repository"))
struct StudioVectorTests {
  @Test func results() async throws {
    let expected = try StudioVectors.read("results/synthetic.expectations.json")
    try await SyntheticBench.use { bench in
      let image = try await bench.run("image", try StudioVectors.read("tasks/image.full.json")).result.output
      for key in ["ext", "width", "height"] { #expect(image[key] == expected["image"]?[key]) }
      let chat = try await bench.run("llm", ["messages": [["role": "user", "content": "x"]]]).result.output
      #expect(chat["object"] == expected["llm"]?["object"])
      let prefix = try #require(expected["llm"]?["contentPrefix"]?.string)
      #expect(chat["choices"]?.array?.first?["message"]?["content"]?.string?.hasPrefix(prefix) == true)
      let speech = try #require(expected["audio_stt"])
      let transcript = try await bench.run(
        "audio_stt",
        .compact(["inputUrl": speech["inputUrl"] ?? .null, "language": speech["language"] ?? .null])
      ).result.output
      #expect(transcript["language"] == speech["language"])
      #expect(transcript["text"]?.string?.hasPrefix(try #require(speech["textPrefix"]?.string)) == true)
      let sound = try await bench.run("audio_tts", ["text": "hi"]).result.output
      for key in ["ext", "sampleRate", "channels"] { #expect(sound[key] == expected["audio_tts"]?[key]) }
      let video = try await bench.run("video", ["prompt": "x", "ext": "mp4"]).result.output
      #expect(video["ext"] == expected["video"]?["ext"])
    }
  }

  @Test("every task file is served", arguments: StudioVectors.taskFiles)
  func tasks(_ name: String) async throws {
    let file = try StudioVectors.read("tasks/\(name)")
    // `params.KIND-defaults.json` wraps the task; the others are tasks that say their kind.
    let kinds = ["image": "image", "llm": "llm", "tts": "audio_tts", "stt": "audio_stt", "video": "video"]
    let word = name.split(whereSeparator: { ".-".contains($0) }).dropFirst().first.map(String.init) ?? ""
    let kind = try #require(file["kind"]?.string ?? kinds[word], "the kind of \(name) is not known")
    try await SyntheticBench.use { bench in
      let outcome = try await bench.run(kind, file["params"] ?? file)
      #expect(outcome.result.artifacts.isEmpty == (kind == "llm" || kind == "audio_stt"))
    }
  }

  @Test("the answers of a whole session", arguments: ["llm", "stt"])
  func session(_ word: String) async throws {
    let claim = try #require(try StudioVectors.read("ws/server-to-worker/offer.full-loop-\(word).json")["claim"])
    let answer = try StudioVectors.read("ws/worker-to-server/completeJson.full-loop-\(word).json")
    let task = try #require(claim["task"])
    try await SyntheticBench.use { bench in
      let outcome = try await bench.run(
        try #require(task["kind"]?.string), task, model: try #require(claim["model"]?.string))
      #expect(outcome.result.output == answer["result"])
    }
  }
}
