import PluginProtocol
import Testing

@testable import Host
@testable import stoker

struct ModelScreenTests {
  private let models = [
    ModelStatus(
      id: "a", kind: .llm, engine: "llama-cpp", state: .ready, bytes: 1 << 20, path: "/m/a", license: "MIT"),
    ModelStatus(
      id: "b", kind: .audioSTT, engine: "whisper-cpp", state: .downloading(bytes: 420, total: 1000), bytes: 1000,
      path: nil, license: nil),
  ]
  private let resident: JSONValue = [
    "id": "a", "plugin": "llama", "pid": 7, "since": 60_000, "device": "cuda:0", "bytes": 2_097_152, "pinned": true,
    "users": 1, "state": "loaded",
  ]

  private func worker(_ answer: JSONValue) -> any WorkerConnection {
    InProcessConnection(ScriptedWorker(["models/residency": { _, _ in answer }]))
  }

  @Test func whatIsLoadedStandsBesideItsModel() async throws {
    let residents = try await Resident.all(
      of: worker(["models": [resident, ["id": "x", "plugin": "synthetic", "state": "loading"]]]))
    let screen = ModelScreen(models: models, residents: residents, now: 360_000)
    let text = screen.table().lines(for: Transcript().console())
    #expect(text.count == 4)
    #expect(text[1].contains("loaded") && text[1].contains("1.0 MiB"))
    #expect(text[1].hasSuffix("llama (pid 7), 5 min ago, on cuda:0, 2.0 MiB, pinned, 1 user"))
    #expect(text[2].contains("downloading 42 %"))
    #expect(text[3].contains("x") && text[3].contains("loading") && text[3].hasSuffix("synthetic"))
    let json = try #require(screen.json["models"]?.array)
    #expect(json.count == 3)
    #expect(json[0]["state"] == "ready" && json[0]["residency"] == [resident])
    #expect(json[1]["residency"] == nil)
    #expect(
      json[2] == [
        "id": "x", "state": "loading", "residency": [["id": "x", "plugin": "synthetic", "state": "loading"]],
      ])
  }

  @Test func aListNeedsNoWorker() async throws {
    #expect(try await Resident.all(of: nil).isEmpty)
    #expect(try await Resident.all(of: SocketConnection(path: "/nonexistent/control.sock")).isEmpty)
    // One of an earlier version.
    #expect(try await Resident.all(of: InProcessConnection(ScriptedWorker([:]))).isEmpty)
    #expect(try await Resident.all(of: worker([:])).isEmpty)
  }

  @Test func unknownNamesAreWrongUsage() async {
    await #expect {
      try await CLIError.naming { throw RPCError(control: .notFound, "no plugin is called nope") }
    } throws: { error in
      CLIError(error).status == .usage && CLIError(error).message == "no plugin is called nope"
    }
    await #expect {
      try await CLIError.naming { throw RPCError(control: .noEngine, "nothing reads it") }
    } throws: { CLIError($0).status == .unserved }
    #expect(CLIError(ModelError(.noDefault, "m")).status == .unserved)
  }
}
