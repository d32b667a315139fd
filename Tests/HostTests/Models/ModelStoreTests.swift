import Foundation
import PluginProtocol
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(2)))
struct ModelStoreTests {
  let folder: ModelTestFolder

  init() throws { folder = try ModelTestFolder() }

  private func hash(_ text: String) -> String { FileHash.hex(ofText: text) }

  @Test func aPathIsUsedInPlace() async throws {
    let path = try folder.write("elsewhere/m.gguf", Array("weights".utf8))
    let bench = try ModelBench(folder, source: .path(path), sha256: hash("weights"), bytes: 7)
    #expect(try bench.store.state(bench.entry) == .unverified)
    try await bench.store.pull(bench.entry)
    #expect(try bench.store.state(bench.entry) == .ready)
    let resolved = try await bench.store.resolve("test:model")
    #expect(
      resolved.reference.json == [
        "id": "test:model",
        "files": [["role": "model", "path": .string(path), "sha256": .string(hash("weights"))]],
      ])
    await #expect(throws: ModelError.self) { try await bench.store.remove("test:model") }
    #expect(folder.exists("elsewhere/m.gguf"))
  }

  @Test func aPathThatIsNoFileIsNamedWithoutBlocking() async throws {
    #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
    for (name, kind, part) in [
      ("pipe", ModelError.Kind.damaged, "a named pipe"), ("", .damaged, "a directory"),
      ("missing", .notPresent, "does not exist"),
    ] {
      let bench = try ModelBench(folder, source: .path(folder.path + "/" + name))
      let error = try #require(await bench.failure())
      #expect(error.kind == kind && error.message.contains(part), "\(error.message)")
      guard case .damaged = try bench.store.state(bench.entry) else {
        Issue.record("\(name) is not damaged")
        continue
      }
    }
  }

  @Test func aChangedFileIsHashedAgain() async throws {
    let server = try ModelFaultServer(in: folder)
    let bench = try ModelBench(folder, source: .url(server.url("file")), sha256: server.sha256)
    try await bench.store.pull(bench.entry)
    let path = folder.path + "/" + bench.finalName
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: path)
    #expect(try bench.store.state(bench.entry) == .unverified)
    _ = try await bench.store.resolve("test:model")
    #expect(try bench.store.state(bench.entry) == .ready)
    var bytes = server.content
    bytes[5] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let error = await #expect(throws: ModelError.self) { _ = try await bench.store.resolve("test:model") }
    #expect(error?.kind == .damaged)
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == server.content)
  }

  @Test func deepVerificationFindsWhatTimesDoNotShow() async throws {
    let server = try ModelFaultServer(in: folder)
    let bench = try ModelBench(folder, source: .url(server.url("file")))
    try await bench.store.pull(bench.entry)
    let path = folder.path + "/" + bench.finalName
    var before = stat()
    #expect(stat(path, &before) == 0)
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try handle.write(contentsOf: Data([99]))
    try handle.close()
    var times = [before.st_atim, before.st_mtim]
    #expect(utimensat(AT_FDCWD, path, &times, 0) == 0)
    #expect(try await bench.store.verify(bench.entry, deep: false) == .ready)
    guard case .damaged = try await bench.store.verify(bench.entry, deep: true) else {
      Issue.record("the change was not found")
      return
    }
  }

  @Test func aModelInUseIsNeitherRemovedNorReplaced() async throws {
    let server = try ModelFaultServer(in: folder)
    let bench = try ModelBench(folder, source: .url(server.url("file")), sha256: server.sha256)
    #expect(throws: ModelError.self) { try bench.store.acquireUse("test:model") }
    try await bench.store.pull(bench.entry)
    let use = try bench.store.acquireUse("test:model")
    let second = try bench.store.acquireUse("test:model")
    second.close()
    let error = await #expect(throws: ModelError.self) { try await bench.store.remove("test:model") }
    #expect(error?.kind == .inUse)
    _ = try folder.write(bench.finalName, [1, 2, 3])
    #expect(await bench.failure()?.kind == .inUse)
    use.close()
    try await bench.store.remove("test:model")
    #expect(!folder.exists("models/test_model"))
    #expect(try bench.store.state(bench.entry) == .absent)
  }

  @Test func removalKeepsWhatItDidNotPutThere() async throws {
    let server = try ModelFaultServer(in: folder)
    let bench = try ModelBench(folder, source: .url(server.url("file")))
    try await bench.store.pull(bench.entry)
    _ = try folder.write("models/test_model/notes.txt", [1])
    try await bench.store.remove("test:model")
    #expect(folder.exists("models/test_model/notes.txt") && !folder.exists(bench.finalName))
  }

  /// A job that waits under the short name would be served by no pattern, and wait for ever.
  @Test func aPlainFileIsRoutedByItsFullName() async throws {
    _ = try folder.write("models/foo.gguf", Array("GGUF".utf8))
    let bench = try ModelBench(folder, source: .url("https://example.invalid/m"))
    var service = PluginService(kind: .llm, models: [ModelPattern("*.gguf")])
    service.modelEngine = "llama-cpp"
    let manifest = PluginManifest(name: "llama", version: "1.0.0", command: ["./engine"], serves: [service])
    let router = ModelRouter(plugins: [manifest], unavailable: [], models: bench.store)
    for id in ["foo", "foo.gguf"] {
      let route = try await router.route(kind: .llm, model: id)
      #expect(route.lane.model == "foo.gguf" && route.plugins == ["llama"])
    }
  }

  @Test func plainFilesAreModelsByTheirNames() async throws {
    _ = try folder.write("models/foo.gguf", Array("GGUF".utf8))
    _ = try folder.write("models/sub/bar.gguf", Array("GGUF".utf8))
    let outside = try folder.write("outside.gguf", Array("GGUF".utf8))
    #expect(symlink(outside, folder.path + "/models/link.gguf") == 0)
    #expect(symlink(folder.path, folder.path + "/models/up") == 0)
    let bench = try ModelBench(folder, source: .url("https://example.invalid/m"))
    for id in ["foo", "foo.gguf", "sub/bar", "sub/bar.gguf"] {
      let resolved = try await bench.store.resolve(id)
      #expect(
        resolved.reference.files.count == 1
          && resolved.reference.files[0].path.hasSuffix("/models/\(id.hasSuffix(".gguf") ? id : id + ".gguf")"))
    }
    for id in [
      "link", "link.gguf", "up/outside", "../outside", outside, "sub/../foo", ".", "", "sub//bar", "foo.gguf/",
    ] {
      let error = await #expect(throws: ModelError.self, "\(id)") { _ = try await bench.store.resolve(id) }
      #expect(error?.kind == .unknownModel)
    }
    #expect(bench.store.list().map(\.id) == ["foo.gguf", "sub/bar.gguf", "test:model"])
    #expect(bench.store.list().map(\.state) == [.ready, .ready, .absent])
    let use = try bench.store.acquireUse("foo")
    await #expect(throws: ModelError.self) { try await bench.store.remove("foo") }
    use.close()
    try await bench.store.remove("foo")
    #expect(!folder.exists("models/foo.gguf"))
  }

  @Test func aPlainFileThatIsNoModelIsDamaged() async throws {
    _ = try folder.write("models/notes.gguf", Array("hello, this is text".utf8))
    _ = try folder.write("models/empty.gguf", [])
    let bench = try ModelBench(folder, source: .url("https://example.invalid/m"))
    for status in bench.store.list() where status.id.hasSuffix(".gguf") {
      guard case .damaged(let reason) = status.state else {
        Issue.record("\(status.id) is \(status.state)")
        continue
      }
      #expect(reason.contains("is not a GGUF model"))
    }
    let error = await #expect(throws: ModelError.self) { _ = try await bench.store.resolve("notes") }
    #expect(error?.kind == .damaged)
    _ = try folder.write("models/notes.gguf", Array("GGUF...".utf8))
    _ = try await bench.store.resolve("notes")
  }

  @Test func unknownModelsAreToldTheNearest() async throws {
    let store = ModelStore(
      directory: folder.path, catalogue: try ModelCatalogue(), settings: ModelStoreSettings(environment: [:]))
    let error = await #expect(throws: ModelError.self) { _ = try await store.resolve("smollm2-135m-instrct") }
    #expect(error?.kind == .unknownModel)
    #expect(error?.message.contains("did you mean 'smollm2-135m-instruct'") == true)
    let absent = await #expect(throws: ModelError.self) { _ = try await store.resolve("smollm2-135m-instruct") }
    #expect(absent?.kind == .notPresent)
    #expect(absent?.message.contains("stoker models pull smollm2-135m-instruct") == true)
  }

  @Test func linksInPlaceOfDirectoriesAndFilesAreRefused() async throws {
    let server = try ModelFaultServer(in: folder)
    let bench = try ModelBench(folder, source: .url(server.url("file")))
    _ = try folder.write("models/x", [])
    _ = try folder.write("target/x", [])
    #expect(symlink(folder.path + "/target", folder.path + "/models/test_model") == 0)
    #expect(await bench.failure()?.kind == .fileSystem)
    #expect(unlink(folder.path + "/models/test_model") == 0)
    _ = try folder.write("models/test_model/x", [])
    #expect(symlink(folder.path + "/target/x", folder.path + "/" + bench.partName) == 0)
    #expect(await bench.failure()?.kind == .fileSystem)
    #expect(folder.read("target/x") == [])
    #expect(unlink(folder.path + "/" + bench.partName) == 0)
    #expect(symlink(folder.path + "/target/x", folder.path + "/" + bench.finalName) == 0)
    #expect(await bench.failure()?.kind == .fileSystem)
    #expect(folder.read("target/x") == [])
  }

  @Test func statusIsJSON() throws {
    let status = ModelStatus(
      id: "m", kind: .llm, engine: "llama-cpp", state: .partial(bytes: 5, total: 10), bytes: 10, path: nil, license: nil
    )
    #expect(
      status.json == [
        "id": "m", "kind": "llm", "engine": "llama-cpp", "state": "partial", "bytes": 10,
        "progress": ["bytes": 5, "total": 10],
      ])
  }
}
