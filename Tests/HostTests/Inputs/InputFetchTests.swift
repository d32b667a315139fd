import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(2)))
struct InputFetchTests {
  /// Runs one job with one remote input from a server that serves 200,000 known bytes.
  private func bench(
    coordinator: String = "local", _ path: (ModelFaultServer) -> String,
    _ change: (inout InputSettings) -> Void = { _ in },
    secure: Bool = false, _ body: (InputBench, JobID, ModelFaultServer) async throws -> Void
  ) async throws {
    let folder = try ModelTestFolder()
    let certificate = secure ? try Self.certificate(in: folder) : nil
    let server = try ModelFaultServer(in: folder, certificate: certificate)
    try await InputBench.with { settings in
      settings.certificateAuthorities = certificate?.0
      settings.stallTimeout = .seconds(20)
      change(&settings)
    } _: { bench in
      let id = try await bench.submit(["inputUrl": .string(path(server))], coordinator: coordinator)
      try await body(bench, id, server)
    }
  }

  private static func certificate(in folder: ModelTestFolder) throws -> (String, String) {
    let (key, certificate) = (folder.path + "/key.pem", folder.path + "/cert.pem")
    let made = try HelperProcess([
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
      "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
    ])
    try #require(made.wait() == 0, "openssl is missing")
    return (certificate, key)
  }

  @Test("fetched once for all attempts, with progress, under its own hash")
  func once() async throws {
    let stages = Mutex<[JobProgress]>([])
    try await bench({ $0.url("file?token=SECRET") }) { bench, id, server in
      #expect(bench.inputs(id).isEmpty)
      let first = try await bench.attempt(
        id, progress: { progress in stages.withLock { $0.append(progress) } })
      #expect(bytes(at: first.work + "/input-inputUrl.bin") == server.content)
      #expect(first.task.inputs["inputUrl"]?.first?.urlSHA256 == FileHash.hex(ofText: server.url("file?token=SECRET")))
      _ = try await bench.store.loseAttempt(
        id, attempt: 1, outcome: .lost, failure: JobFailure(.engineFault, "died"), countsAgainstJob: false)
      let second = try await bench.attempt(id)
      #expect(bytes(at: second.work + "/input-inputUrl.bin") == server.content)
      #expect(try server.requests().count == 1)
    }
    let seen = stages.withLock { $0 }
    #expect(seen.allSatisfy { $0.stage == "fetching input" } && seen.last?.fraction == 1)
    #expect(!seen.contains { $0.message?.contains("SECRET") == true })
  }

  @Test(
    "answers that hold no file",
    arguments: [
      ("status?code=404", FailureClass.badInput, "404"), ("status?code=403", .badInput, "403"),
      ("status?code=418", .badInput, "418"), ("status?code=503", .transient, "503"),
      ("status?code=429", .transient, "429"),
      ("gzip", .badInput, "compressed"), ("headers", .badInput, "headers"), ("longer", .transient, "cannot be fetched"),
      ("cut?after=70000&times=9", .transient, "cannot be fetched"),
      ("status?code=302", .badInput, "without saying where"),
      ("redirect?to=ftp%3A%2F%2F127.0.0.1%2F", .badInput, "may not"),
      ("redirect?to=file%3A%2F%2F%2Fetc%2Fpasswd", .badInput, "may not"),
      ("redirect?to=http%3A%2F%2Fexample.com%2F", .badInput, "may not"),
      ("redirect?to=%2Fstatus%3Fcode%3D307", .badInput, "without saying where"),
    ])
  func badAnswers(_ path: String, _ failure: FailureClass, _ words: String) async throws {
    try await bench({ $0.url(path).replacingOccurrences(of: "http://", with: "http://user:SECRET@") }) { bench, id, _ in
      let error = await bench.failure(id)
      #expect(error?.failureClass == failure && error?.message.contains(words) == true, "\(String(describing: error))")
      #expect(error?.message.hasPrefix("task.inputUrl: ") == true && error?.message.contains("SECRET") == false)
      #expect(bench.inputs(id).isEmpty)
    }
  }

  @Test func aRedirectOnThisMachineIsFollowedAndACircleIsNot() async throws {
    try await bench({ $0.url("redirect?to=%2Ffile") }) { bench, id, server in
      let attempt = try await bench.attempt(id)
      #expect(bytes(at: attempt.work + "/input-inputUrl.bin") == server.content)
    }
    try await bench({ $0.url("redirect?to=%2Fredirect%3Fto%3D%2Ffile") }) { bench, id, _ in
      _ = try await bench.attempt(id)
    }
    // Each answer leads one further; the sixth is one too many.
    var target = "%2Ffile"
    for _ in 0..<6 { target = "%2Fredirect%3Fto%3D" + target.replacingOccurrences(of: "%", with: "%25") }
    try await bench({ $0.url("redirect?to=" + target) }) { bench, id, _ in
      let error = await bench.failure(id)
      #expect(
        error?.failureClass == .badInput && error?.message.contains("more than 5 times") == true,
        "\(String(describing: error))")
    }
  }

  @Test("more bytes than an input may have, announced or not", arguments: ["file", "endless", "chunked"])
  func tooLarge(_ path: String) async throws {
    try await bench({ $0.url(path) }, { $0.maxInputBytes = 100_000 }) { bench, id, _ in
      let error = await bench.failure(id)
      #expect(error?.failureClass == .badInput && error?.message.contains("100000 bytes") == true)
      #expect(bench.inputs(id).isEmpty)
    }
  }

  @Test("a body without an end stops at the disk's reserve")
  func reserve() async throws {
    try await bench({ $0.url("endless") }, { $0.keepFree = .max }) { bench, id, _ in
      #expect(await bench.failure(id)?.failureClass == .resource)
    }
  }

  @Test("silence and slowness end by the clocks", arguments: ["stall", "silent"])
  func stall(_ path: String) async throws {
    try await bench({ $0.url(path) }, { $0.stallTimeout = .milliseconds(300) }) { bench, id, _ in
      let error = await bench.failure(id)
      let words = path == "silent" ? "sent nothing for" : "sent less than 64 KiB in"
      #expect(error?.failureClass == .transient && error?.message.contains(words) == true)
    }
    try await bench({ $0.url(path) }) { bench, id, _ in
      let error = await bench.failure(id, timeLimit: .milliseconds(300))
      #expect(error?.failureClass == .transient && error?.message.contains("longer") == true)
    }
  }

  @Test("who only drips is as good as silent", arguments: ["head", "hints", "body"])
  func drip(_ path: String) async throws {
    let server = try InputServer.drip()
    try await bench({ _ in "http://127.0.0.1:\(server.port)/\(path)" }, { $0.stallTimeout = .milliseconds(300) }) {
      bench, id, _ in
      let error = await bench.failure(id, timeLimit: .seconds(10))
      let words = path == "body" ? "sent less than 64 KiB in" : "sent nothing for"
      #expect(
        error?.failureClass == .transient && error?.message.contains(words) == true, "\(String(describing: error))")
    }
  }

  @Test func aSlowSenderThatGoesOnIsHeardOutToItsLastPiece() async throws {
    let server = try InputServer.drip()
    try await bench({ _ in "http://127.0.0.1:\(server.port)/steady" }, { $0.stallTimeout = .seconds(2) }) {
      bench, id, _ in
      let attempt = try await bench.attempt(id)
      #expect(attempt.task.inputs["inputUrl"]?.first?.bytes == 30 * 65536 + 100)
    }
  }

  @Test("a cancel ends the fetch", arguments: ["stall", "endless"])
  func cancel(_ path: String) async throws {
    let began = Atomic<Bool>(false)
    try await bench({ $0.url(path) }, { $0.stallTimeout = .seconds(100) }) { bench, id, _ in
      let error = await bench.failure(
        id, isCancelled: { began.load(ordering: .relaxed) },
        progress: { if $0.message?.hasSuffix(" 0 bytes") == false { began.store(true, ordering: .relaxed) } })
      #expect(error?.failureClass == .cancelled)
      #expect(bench.inputs(id).isEmpty)
    }
  }

  @Test("nobody listens")
  func refused() async throws {
    try await bench({ _ in "http://127.0.0.1:1/x" }) { bench, id, _ in
      #expect(await bench.failure(id)?.failureClass == .transient)
    }
  }

  // MARK: Addresses

  @Test("a local user may name an https address of this machine; its certificate still counts")
  func localTLS() async throws {
    try await bench({ $0.url("file") }, secure: true) { bench, id, server in
      let attempt = try await bench.attempt(id)
      #expect(bytes(at: attempt.work + "/input-inputUrl.bin") == server.content)
    }
    try await bench({ $0.url("file") }, { $0.certificateAuthorities = nil }, secure: true) { bench, id, _ in
      #expect(await bench.failure(id)?.failureClass == .badInput)
    }
  }

  @Test(
    "a coordinator's URL leads to no private address, by number or by name",
    arguments: [
      "https://127.0.0.1:PORT/file", "https://localhost:PORT/file", "https://[::1]:PORT/file",
      "http://127.0.0.1:PORT/file", "https://2130706433:PORT/file", "https://[::ffff:127.0.0.1]:PORT/file",
    ])
  func privateAddresses(_ url: String) async throws {
    try await bench(
      coordinator: "studio", { url.replacingOccurrences(of: "PORT", with: "\($0.port)") },
      secure: url.hasPrefix("https")
    ) { bench, id, server in
      let error = await bench.failure(id)
      #expect(error?.failureClass == .badInput, "\(String(describing: error))")
      let requests = try server.requests()
      #expect(requests.isEmpty)
    }
  }

  @Test func anOperatorMayAllowThem() async throws {
    try await bench(coordinator: "studio", { $0.url("file") }, { $0.allowPrivateAddresses = true }, secure: true) {
      bench, id, server in
      let attempt = try await bench.attempt(id)
      #expect(bytes(at: attempt.work + "/input-inputUrl.bin") == server.content)
    }
  }

  /// The test's server stands for the internet, other loopback addresses for the private network.
  @Test(
    "a public server's redirect leads to no private address", arguments: ["local", "studio"],
    ["https%3A%2F%2F127.0.0.2%2Ffile", "https%3A%2F%2F%5B::1%5D%2Ffile", "http%3A%2F%2F127.0.0.1%2Ffile"])
  func redirectToPrivate(_ coordinator: String, _ target: String) async throws {
    try await bench(
      coordinator: coordinator, { $0.url("redirect?to=" + target) },
      { settings in
        settings.isPublicAddress = { address, _ in
          address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            address.pointee.sa_family == sa_family_t(AF_INET)
              && $0.pointee.sin_addr.s_addr == UInt32(0x7F00_0001).bigEndian
          }
        }
      }, secure: true
    ) { bench, id, server in
      let error = await bench.failure(id)
      #expect(error?.failureClass == .badInput, "\(String(describing: error))")
      let requests = try server.requests()
      #expect(requests.count == 1)
    }
  }

  /// What came through a proxy may have come from anywhere.
  @Test("through a proxy no redirect leads to a private address")
  func redirectThroughProxy() async throws {
    let proxy = try InputServer.proxy()
    let variables = ["https_proxy": "http://127.0.0.1:\(proxy.port)"]
    try await bench({ $0.url("file") }, { $0.environment = variables }, secure: true) { bench, id, server in
      let attempt = try await bench.attempt(id)
      #expect(bytes(at: attempt.work + "/input-inputUrl.bin") == server.content)
    }
    try await bench({ $0.url("redirect?to=%2Ffile") }, { $0.environment = variables }, secure: true) {
      bench, id, server in
      let error = await bench.failure(id)
      #expect(
        error?.failureClass == .badInput && error?.message.contains("not public") == true,
        "\(String(describing: error))")
      let requests = try server.requests()
      #expect(requests.count == 1)
    }
  }

  @Test func whatNeedsNoProxyMayLeadOnToPrivateAddresses() async throws {
    let variables = ["https_proxy": "http://127.0.0.1:1", "no_proxy": "example.com, 127.0.0.1"]
    try await bench({ $0.url("redirect?to=%2Ffile") }, { $0.environment = variables }, secure: true) {
      bench, id, server in
      let attempt = try await bench.attempt(id)
      #expect(bytes(at: attempt.work + "/input-inputUrl.bin") == server.content)
    }
  }
}
