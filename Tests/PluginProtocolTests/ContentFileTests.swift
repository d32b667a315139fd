import Foundation
import PluginProtocol
import Testing
import WireTestSupport

@Suite("The kit: content in files", .timeLimit(.minutes(1)))
struct ContentFileTests {
  /// A job whose task the host has written to a file of the work directory.
  private func request(_ host: WireClient, _ name: String, in directory: String) -> RequestID {
    host.request(
      Method.jobRun,
      JobRunParameters(jobID: "j", kind: "llm", task: [:], taskFile: name, workDirectory: directory).json)
  }

  @Test("a task of ten megabytes comes as a file, and an output of three goes as one")
  func largeTaskAndOutput() async throws {
    let work = try TemporaryDirectory()
    let task: JSONValue = [
      "do": "big", "bytes": 3_000_000, "padding": .string(String(repeating: "é", count: 5_000_000)),
    ]
    try Data(task.bytes).write(to: URL(filePath: work.path + "/task.json"))
    try await serving(ScriptedEngine()) { host in
      #expect(try await host.greet().features.contains("content-files"))
      let json = try await host.answer(to: request(host, "task.json", in: work.path))
      #expect(json["output"] == nil)
      let result = try JobRunResult(json)
      let file = try #require(result.outputFile)
      let path = work.path + "/" + file.name
      let bytes = try Data(contentsOf: URL(filePath: path))
      #expect(UInt64(bytes.count) == file.bytes)
      #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
      // Foundation's parser, not the one that wrote it.
      let object = try JSONSerialization.jsonObject(with: bytes) as? [String: String]
      #expect(object == ["text": String(repeating: "j", count: 3_000_000)])
    }
  }

  @Test("an output goes with the message up to 256 KiB of JSON", arguments: [(0, false), (1, true)])
  func boundary(_ extra: Int, _ isFile: Bool) async throws {
    let work = try TemporaryDirectory()
    // A file of the engine's own has the name already.
    try Data("mine".utf8).write(to: URL(filePath: work.path + "/output.json"))
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let bytes = (256 << 10) - #"{"text":""}"#.utf8.count + extra
      let task: JSONValue = ["do": "big", "bytes": JSONValue(bytes)]
      let result = try JobRunResult(
        try await host.answer(to: host.run("llm", task, id: "j", directory: work.path)))
      #expect(result.outputFile?.name == (isFile ? "output-1.json" : nil))
      #expect(try String(contentsOfFile: work.path + "/output.json", encoding: .utf8) == "mine")
    }
  }

  @Test func aHostWithoutTheFeatureGetsTheOutputItself() async throws {
    try await serving(ScriptedEngine()) { host in
      try await host.greet(without: .contentFiles)
      let id = host.run("llm", ["do": "big", "bytes": 400_000], id: "j")
      #expect(try await host.answer(to: id)["output"]?["text"]?.string?.utf8.count == 400_000)
    }
  }

  @Test("an output that cannot be written fails the job")
  func noDirectory() async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let error = try await host.failure(of: host.run("llm", ["do": "big", "bytes": 400_000], id: "j"))
      #expect(error.failureClass == .engineFault && error.message.contains("No such file"))
    }
  }

  @Test(
    "a task file that is none is named and nobody waits for it",
    arguments: ["missing", "link", "fifo", "directory", "../outside.json", "list", "broken", "huge"])
  func badTaskFiles(_ name: String) async throws {
    let outer = try TemporaryDirectory()
    let work = outer.path + "/work"
    try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false)
    try Data(#"{"do":"big","bytes":1}"#.utf8).write(to: URL(filePath: outer.path + "/outside.json"))
    try FileManager.default.createSymbolicLink(
      atPath: work + "/link", withDestinationPath: outer.path + "/outside.json")
    mkfifo(work + "/fifo", 0o600)
    try FileManager.default.createDirectory(atPath: work + "/directory", withIntermediateDirectories: false)
    try Data("[]".utf8).write(to: URL(filePath: work + "/list"))
    try Data("{".utf8).write(to: URL(filePath: work + "/broken"))
    try Data().write(to: URL(filePath: work + "/huge"))
    truncate(work + "/huge", 64 << 20 | 1)
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let error = try await host.failure(of: request(host, name, in: work))
      #expect(error.failureClass == .engineFault && error.message.hasPrefix("the task file cannot be used"))
      // The engine goes on.
      _ = try await host.answer(to: host.run("llm", ["do": "big", "bytes": 1], id: "k"))
    }
  }

  // MARK: Inputs

  @Test("an engine reads its inputs as paths, with what the host knows of them")
  func inputs() async throws {
    let hash = String(repeating: "ab", count: 32)
    let entry = JobInput(name: "input-inputUrl.wav", contentType: "audio/wav", bytes: 7, urlSHA256: hash)
    let image = JobInput(name: "input-imageUrls-1.png", contentType: "image/png", bytes: 8, urlSHA256: hash)
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let parameters = JobRunParameters(
        jobID: "j", kind: "audio_stt",
        task: [
          "do": "inputs", "inputUrl": .string(FileURL.text(path: "/w/100% é/a?b#c.wav")),
          "imageUrls": ["file:///w/input-imageUrls-1.png", "file:/w/2"],
        ], inputs: ["inputUrl": [entry], "imageUrls": [image]], workDirectory: "/w")
      #expect(try JobRunParameters(parameters.json) == parameters)
      #expect(parameters.json["inputs"]?["inputUrl"]?["bytes"] == 7)
      #expect(parameters.json["inputs"]?["imageUrls"]?.array?.count == 1)
      let output = try await host.answer(to: host.request(Method.jobRun, parameters.json))["output"]
      #expect(output?["path"] == "/w/100% é/a?b#c.wav" && output?["hash"] == .string(hash))
      #expect(output?["paths"] == ["/w/input-imageUrls-1.png", "/w/2"] && output?["types"] == ["image/png"])
    }
  }

  @Test(
    "only file: URLs of absolute local paths are inputs",
    arguments: [
      "https://example.com/a.wav", "data:,x", "/etc/passwd", "file://host/a", "file:a", "file:", "file://localhost/a",
      "file:///a?b", "file:///a#b", "file:///a%2", "file:///a%zz", "file:///a%00b", "file:///%ff", "", "upload:abc",
    ])
  func badURLs(_ url: String) async throws {
    try await serving(ScriptedEngine()) { host in
      _ = try await host.greet()
      let error = try await host.failure(
        of: host.run("audio_stt", ["do": "inputs", "inputUrl": .string(url)], id: "j"))
      #expect(error.failureClass == .badInput && error.message.hasPrefix("task.inputUrl "), "\(error)")
    }
  }

  @Test("a path survives its URL", arguments: ["/", "/a b", "/%41", "/é\u{301}/😀", "/a\nb", "/a%2Fb", "//x"])
  func roundTrip(_ path: String) throws {
    let url = FileURL.text(path: path)
    #expect(url.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
    #expect(try FileURL.path(url, field: "x") == path)
    #expect(URL(string: url)?.path(percentEncoded: false) == path)
  }
}
