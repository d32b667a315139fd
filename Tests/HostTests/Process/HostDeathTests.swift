import Foundation
import Testing

@testable import Host

/// What becomes of engines when their host dies, and what a host that lives long has piled up.
@Suite struct HostDeathTests {
  private let standIn = BuiltProducts.path("HostStandIn")

  /// An engine that is busy and has let a process escape into a session of its own. Both write their pid to a FIFO.
  private static let busy = """
    import os, signal, sys
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def tell(): os.write(os.open(sys.argv[1], os.O_WRONLY), b"%d\\n" % os.getpid())
    if os.fork() == 0:
      os.setsid()
      if os.fork() != 0: os._exit(0)
      tell()
      signal.pause()
    os.wait()
    tell()
    while True: sum(range(10000))
    """

  @Test(arguments: [SIGKILL, SIGTERM]) func nothingOutlivesAHostThatIsKilled(signal: Int32) async throws {
    try await withProcessDirectory { directory in
      let fifo = "\(directory)/pids"
      #expect(mkfifo(fifo, 0o600) == 0)
      // Opened for writing, too: its end must not be seen between two writers.
      let reader = open(fifo, O_RDWR | O_CLOEXEC | O_NONBLOCK)
      defer { close(reader) }
      let host = try await EngineUnderTest.start(
        [standIn, "engines", BuiltProducts.launch, "4", "python3", "-c", Self.busy, fifo])
      let pid = try await host.started()
      var family: [Int32] = []
      while let line = try await host.line(), line != "ready" {
        family += line.split(separator: " ").prefix(1).compactMap { Int32($0) }
      }
      for _ in 0..<8 { family.append(try #require(Int32(try await host.line(reader) ?? ""))) }
      #expect(Set(family).count == 12, "four monitors, four engines, four that escaped")
      let watched = try Watched(family)
      kill(pid, signal)
      #expect(try await watched.gone() < .seconds(2))
      try await host.finish()
    }
  }

  @Test func aHostThatLivesLongPilesNothingUp() async throws {
    let host = try await EngineUnderTest.start([standIn, "cycles", BuiltProducts.launch, "200", "20"])
    _ = try await host.started()
    let lines = try await host.lines().map { $0.split(separator: " ").compactMap { Int($0) } }
    try #require(lines.count == 3 && lines[0].count == 4 && lines[1].count == 4)
    #expect(lines[0][0] == lines[1][0], "descriptors")
    #expect(lines[0][1] == lines[1][1], "threads")
    #expect(lines[1][2] == 0, "children")
    #expect(lines[1][3] - lines[0][3] < 2 << 20, "resident bytes")
    try await host.finish()
  }

  @Test func terminationSignalsAreAStream() async throws {
    let host = try await EngineUnderTest.start([standIn, "signals"])
    let pid = try await host.started()
    #expect(try await host.line() == "ready")
    for (signal, name) in [(SIGINT, "SIGINT"), (SIGHUP, "SIGHUP"), (SIGTERM, "SIGTERM")] {
      kill(pid, signal)
      #expect(try await host.line() == name)
    }
    guard case .exited(0, _) = try await host.record() else {
      Issue.record("a signal ended the process")
      return
    }
    try await host.finish()
  }
}
