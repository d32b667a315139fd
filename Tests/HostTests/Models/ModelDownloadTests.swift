import Foundation
import PluginProtocol
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(2)))
struct ModelDownloadTests {
  let folder: ModelTestFolder
  let server: ModelFaultServer

  init() throws {
    folder = try ModelTestFolder()
    server = try ModelFaultServer(in: folder)
  }

  func bench(
    _ path: String, sha256: String? = nil, bytes: Int64? = nil, change: (inout ModelStoreSettings) -> Void = { _ in }
  ) throws -> ModelBench {
    try ModelBench(folder, source: .url(server.url(path)), sha256: sha256, bytes: bytes, change: change)
  }

  func ranges() throws -> [String?] { try server.requests().map { $0["range"]?.string } }

  @Test func wholeFileIsPublishedOnceAndStaysReady() async throws {
    let bench = try bench("file", sha256: server.sha256.uppercased(), bytes: 200_000)
    #expect(try bench.store.state(bench.entry) == .absent)
    let log = ProgressLog()
    try await bench.store.pull(bench.entry, progress: log.sink)
    #expect(folder.read(bench.finalName) == server.content)
    #expect(!folder.exists(bench.partName) && !folder.exists(bench.partName + ".json"))
    #expect(try bench.store.state(bench.entry) == .ready)
    #expect(
      log.all.last
        == PullProgress(
          modelID: "test:model", filename: "weights.gguf", bytes: 200_000, total: 200_000, stage: .ready))
    try await bench.store.pull(bench.entry)
    #expect(try server.requests().count == 1)
  }

  @Test func unknownLengthArrives() async throws {
    let bench = try bench("chunked", sha256: server.sha256)
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == server.content)
  }

  @Test func aCutConnectionIsResumedInTheSamePull() async throws {
    let bench = try bench("cut?after=70000&times=2", bytes: 200_000)
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == server.content)
    #expect(try ranges() == [nil, "bytes=70000-", "bytes=140000-"])
    #expect(try server.requests().last?["ifRange"]?.string == "\"one\"")
  }

  @Test(
    arguments: [
      ("cut", [nil, "bytes=70000-"]), ("wrongrange", [nil, "bytes=70000-", nil]),
      ("unsatisfiable", [nil, "bytes=70000-", nil]), ("norange", [nil, "bytes=70000-"]),
      ("changed", [nil, "bytes=70000-"]), ("weak", [nil, nil]),
    ] as [(String, [String?])])
  func aLaterPullResumesOrStartsAfresh(path: String, expected: [String?]) async throws {
    let bench = try bench("\(path)?after=70000") { $0.resumeLimit = 0 }
    #expect(await bench.failure()?.kind == .network)
    #expect(folder.read(bench.partName)?.count == 70_000)
    #expect(try bench.store.state(bench.entry) == .partial(bytes: 70_000, total: 200_000))
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == server.content)
    #expect(try ranges() == expected)
  }

  @Test func aPrefixThatWasTamperedWithFailsTheHashAndIsDeleted() async throws {
    let bench = try bench("cut?after=70000", sha256: server.sha256, bytes: 200_000) { $0.resumeLimit = 0 }
    #expect(await bench.failure()?.kind == .network)
    _ = try folder.write(bench.partName, [UInt8](repeating: 7, count: 70_000))
    #expect(await bench.failure()?.kind == .hashMismatch)
    #expect(!folder.exists(bench.partName) && !folder.exists(bench.finalName))
    try await bench.store.pull(bench.entry)
    #expect(folder.read(bench.finalName) == server.content)
  }

  @Test func aWrongHashIsNamedAndNothingIsKept() async throws {
    let wrong = String(repeating: "0", count: 64)
    let bench = try bench("file", sha256: wrong)
    let error = try #require(await bench.failure())
    #expect(error.kind == .hashMismatch)
    #expect(error.message.contains(wrong) && error.message.contains(server.sha256))
    #expect(!folder.exists(bench.partName) && !folder.exists(bench.finalName))
  }

  @Test func aDeclaredSizeThatTheServerDoesNotOfferIsRefusedBeforeTheBody() async throws {
    let bench = try bench("file", bytes: 1000)
    let error = try #require(await bench.failure())
    #expect(error.kind == .lengthMismatch && error.message.contains("200000") && error.message.contains("1000"))
    #expect(!folder.exists(bench.partName))
  }

  @Test func anEndlessBodyStopsAtTheDeclaredSize() async throws {
    let bench = try bench("endless", bytes: 1_000_000)
    #expect(await bench.failure()?.kind == .lengthMismatch)
    #expect(!folder.exists(bench.partName))
  }

  @Test func anEndlessBodyOfUnknownSizeStopsBeforeTheDiskIsFull() async throws {
    let free = LockedNumbers([1 << 40, 1 << 40, 1000])
    let bench = try bench("endless") { $0.freeSpace = { _ in free.next() } }
    #expect(await bench.failure()?.kind == .diskFull)
  }

  @Test func aServerThatPromisesMoreThanItSendsIsAnError() async throws {
    let bench = try bench("longer") { $0.resumeLimit = 1 }
    #expect(await bench.failure() != nil)
    #expect(!folder.exists(bench.finalName))
  }

  @Test(arguments: ["stall", "silent"])
  func aStalledServerIsGivenUp(path: String) async throws {
    let bench = try bench(path) { $0.stallTimeout = .milliseconds(300) }
    #expect(await bench.failure()?.kind == .stalled)
    #expect(folder.exists(bench.partName) == (path == "stall"))
  }

  @Test func cancellationEndsTheTransferAndKeepsThePart() async throws {
    let bench = try bench("stall")
    let log = ProgressLog()
    let pull = Task { try await bench.store.pull(bench.entry, progress: log.sink) }
    _ = await log.first { $0.stage == .downloading }
    let start = ContinuousClock.now
    pull.cancel()
    await #expect(throws: CancellationError.self) { try await pull.value }
    #expect(.now - start < .seconds(10))
    #expect(!folder.exists(bench.finalName))
  }

  @Test func tooLittleSpaceIsToldWithBothNumbers() async throws {
    let bench = try bench("file") { $0.freeSpace = { _ in 210_000 } }
    let error = try #require(await bench.failure())
    #expect(error.kind == .diskFull)
    #expect(error.message.contains("220.0 kB") && error.message.contains("210.0 kB"))
  }

  @Test func twoPullsDownloadOnce() async throws {
    let gate = folder.path + "/gate"
    #expect(mkfifo(gate, 0o600) == 0)
    let bench = try bench("gate?gate=\(gate)", sha256: server.sha256)
    let (first, second) = (ProgressLog(), ProgressLog())
    async let one: Void = bench.store.pull(bench.entry, progress: first.sink)
    _ = await first.first { $0.stage == .downloading }
    guard case .downloading(_, let total) = try bench.store.state(bench.entry) else {
      Issue.record("not downloading")
      return
    }
    #expect(total == 200_000)
    async let two: Void = bench.store.pull(bench.entry, progress: second.sink)
    _ = await second.first { $0.stage == .waiting }
    try FileHandle(forWritingTo: URL(fileURLWithPath: gate)).close()
    _ = try await (one, two)
    #expect(try server.requests().count == 1)
    #expect(second.all.last?.stage == .ready)
    #expect(folder.read(bench.finalName) == server.content)
  }

  @Test func aLockOfAnotherProcessIsWaitedFor() async throws {
    let bench = try bench("file")
    _ = try folder.write("models/test_model/.lock", [])
    let other = try HelperProcess([
      "python3", "-c",
      "import fcntl,sys; f=open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()",
      folder.path + "/models/test_model/.lock",
    ])
    #expect(other.firstLine() == "held")
    let log = ProgressLog()
    async let pull: Void = bench.store.pull(bench.entry, progress: log.sink)
    _ = await log.first { $0.stage == .waiting }
    #expect(try server.requests().isEmpty)
    other.closeInput()
    try await pull
    #expect(folder.read(bench.finalName) == server.content)
  }

  @Test func redirectsAreFollowedOnlyWhereTheyMay() async throws {
    let good = try bench("redirect?to=/file")
    try await good.store.pull(good.entry)
    #expect(folder.read(good.finalName) == server.content)
    try await good.store.remove("test:model")
    for target in [
      "http://192.0.2.1/x", "http://example.invalid/x?token=secret", "ftp://127.0.0.1/x", "file:///etc/passwd",
    ] {
      let bad = try bench("redirect?to=\(target)")
      let error = try #require(await bad.failure())
      #expect(error.kind == .refusedURL)
      #expect(!error.message.contains("secret"))
    }
    let circle = try bench("redirect?to=/redirect?to=/redirect")
    #expect(await circle.failure() != nil)
  }

  @Test(arguments: [
    ("status?code=404", "404"), ("status?code=500", "500"), ("status?code=401", "401"), ("gzip", "gzip"),
  ])
  func answersThatAreNoDownloadAreNamed(path: String, part: String) async throws {
    let error = try #require(await bench(path).failure())
    #expect(error.kind == .badResponse && error.message.contains(part))
  }

  @Test func aFloodOfHeadersIsRefused() async throws {
    #expect(await (try bench("headers")).failure() != nil)
  }

  @Test func credentialsAreSentAndNeverShown() async throws {
    let url = "http://ann:hunter2@127.0.0.1:\(server.port)/status?code=403&token=hunter3"
    let bench = try ModelBench(folder, source: .url(url))
    let error = try #require(await bench.failure())
    #expect(try server.requests().first?["authorization"]?.string?.hasPrefix("Basic ") == true)
    #expect(!error.message.contains("hunter") && !error.message.contains("ann"))
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")))
  func encryptedDownloadsWorkAndStayEncrypted() async throws {
    let (key, certificate) = (folder.path + "/key.pem", folder.path + "/cert.pem")
    let openssl = try HelperProcess([
      "/bin/sh", "-c",
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 "
        + "-keyout '\(key)' -out '\(certificate)' 2>/dev/null",
    ])
    try #require(openssl.wait() == 0)
    let secure = try ModelFaultServer(in: folder, certificate: (certificate, key))
    let untrusted = try ModelBench(folder, source: .url(secure.url("file")))
    #expect(await untrusted.failure()?.kind == .network)
    let downgraded = try ModelBench(folder, source: .url(secure.url("redirect?to=\(server.url("file"))"))) {
      $0.certificateAuthorities = certificate
    }
    #expect(await downgraded.failure()?.kind == .refusedURL)
    #expect(try server.requests().isEmpty)
    let trusted = try ModelBench(folder, source: .url(secure.url("file"))) { $0.certificateAuthorities = certificate }
    try await trusted.store.pull(trusted.entry)
    #expect(folder.read(trusted.finalName) == secure.content)
  }
}
