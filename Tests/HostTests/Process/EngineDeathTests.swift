import Foundation
import Testing

@testable import Host

/// Deaths of engines, and of everything they leave behind.
@Suite struct EngineDeathTests {
  /// Python that leaves a process which has left every session and group, ignores all it can, and prints its pid.
  private static let escape = """
    import os, signal, sys, time
    def escape(levels):
      read, write = os.pipe()
      if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT): signal.signal(number, signal.SIG_IGN)
        if os.fork() != 0: os._exit(0)
        if levels > 0: escape(levels - 1)
        os.write(write, str(os.getpid()).encode())
        while True: time.sleep(60)
      print(os.read(read, 20).decode(), flush=True)

    """

  private func pids(_ engine: EngineUnderTest, _ count: Int) async throws -> [Int32] {
    var pids: [Int32] = []
    for _ in 0..<count { pids.append(try #require(Int32(try await engine.line() ?? ""))) }
    return pids
  }

  private func watchFamily(of engine: EngineUnderTest) async throws -> Watched {
    let pid = try await engine.started()
    return try Watched([pid, engine.process.monitorPID] + (try await pids(engine, 1)))
  }

  @Test(arguments: [SIGSEGV, SIGBUS, SIGABRT, SIGKILL]) func deadlySignalsAreNamedAndLeaveNoCore(signal: Int32)
    async throws
  {
    try await withProcessDirectory { directory in
      let engine = try await EngineUnderTest.start(["sleep", "600"], directory: directory)
      let pid = try await engine.started()
      kill(pid, signal)
      guard case .signaled(signal, coreDumped: false, _) = try await engine.record() else {
        Issue.record("signal \(signal) is not reported")
        return
      }
      try await engine.finish()
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
    }
  }

  @Test func aGrandchildThatHoldsThePipesDoesNotHideTheDeath() async throws {
    let engine = try await EngineUnderTest.start(["sh", "-c", "sleep 600 & echo $!; exit 3"])
    _ = try await engine.started()
    let start = SystemHostClock().now()
    let grandchild = try await pids(engine, 1)
    guard case .exited(3, _) = try await engine.record() else {
      Issue.record("the exit is not reported")
      return
    }
    #expect(start.duration(to: SystemHostClock().now()) < .seconds(6))
    var byte: UInt8 = 0
    #expect(read(engine.process.stdout, &byte, 1) == -1 && errno == EAGAIN)
    let watched = try Watched(grandchild)
    #expect(watched.allAlive)
    let (last, _) = try await engine.finish()
    #expect(last == .swept(removed: 1, left: 0))
    _ = try await watched.gone()
    #expect(read(engine.process.stdout, &byte, 1) == 0)
  }

  @Test(arguments: [true, false]) func noDescendantEscapesTheSweep(engineLives: Bool) async throws {
    let engine = try await EngineUnderTest.python(
      Self.escape + "for _ in range(3): escape(0)\nescape(3)\n" + (engineLives ? "sys.stdin.read()" : ""))
    let pid = try await engine.started()
    let escaped = try await pids(engine, 3)
    let watched = try Watched(escaped + (engineLives ? [pid] : []))
    if !engineLives { _ = try await engine.record() }
    let (last, end) = try await engine.finish()
    guard case .swept(let removed, left: 0) = last else {
      Issue.record("\(String(describing: last))")
      return
    }
    // How many helpers of the escape still lived is chance; those that were watched did.
    #expect(removed >= escaped.count + (engineLives ? 1 : 0))
    #expect(end == .exited(0))
    #expect(try await watched.gone() < .seconds(10))
  }

  @Test func aStormOfForksIsSwept() async throws {
    // 100 processes at a time, each in a session of its own; each that ends is followed by another one.
    let engine = try await EngineUnderTest.python(
      """
      import os, sys, time
      for _ in range(100):
        if os.fork() == 0:
          os.setsid()
          while True:
            time.sleep(0.02)
            if os.fork() != 0: os._exit(0)
            os.setsid()
      print("ready", flush=True)
      sys.stdin.read()
      """)
    _ = try await engine.started()
    #expect(try await engine.line() == "ready")
    let (last, end) = try await engine.finish()
    guard case .swept(let removed, left: 0) = last else {
      Issue.record("\(String(describing: last))")
      return
    }
    #expect(removed >= 100)
    #expect(end == .exited(0))
  }

  @Test func termIsSentToTheGroupAndKillEvenToAStoppedOne() async throws {
    let engine = try await EngineUnderTest.start([
      "sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done",
    ])
    let pid = try await engine.started()
    #expect(try await engine.line() == "ready")
    #expect(engine.process.signalGroup(.terminate))
    #expect(try await engine.line() == "asked")
    kill(pid, SIGSTOP)
    #expect(engine.process.signalGroup(.terminate))
    #expect(engine.process.signalGroup(.kill))
    guard case .signaled(SIGKILL, _, _) = try await engine.record() else {
      Issue.record("not killed")
      return
    }
    try await engine.finish()
    #expect(!engine.process.signalGroup(.kill))
  }

  @Test func theGroupCanStillBeKilledWhenItsLeaderIsGone() async throws {
    let engine = try await EngineUnderTest.start(["sh", "-c", "sleep 600 & echo $!"])
    _ = try await engine.started()
    let watched = try Watched(try await pids(engine, 1))
    _ = try await engine.record()
    engine.process.signalGroup(.kill)
    _ = try await watched.gone()
    try await engine.finish()
  }

  @Test func zombiesDoNotPileUpWhileTheEngineLives() async throws {
    let engine = try await EngineUnderTest.python(
      """
      import os, sys
      for _ in range(200):
        child = os.fork()
        if child == 0:
          if os.fork() == 0: os._exit(0)
          os._exit(0)
        os.waitpid(child, 0)
      print("done", flush=True)
      sys.stdin.read()
      """)
    let pid = try await engine.started()
    #expect(try await engine.line() == "done")
    // A record of the monitor comes after it has reaped what ended before: ask for one.
    kill(pid, SIGKILL)
    _ = try await engine.record()
    #expect(ProcessTable.children(of: engine.process.monitorPID).isEmpty)
    try await engine.finish()
  }

  @Test func aMonitorThatIsKilledTakesItsEngineAlongAndTheHostReapsTheRest() async throws {
    let engine = try await EngineUnderTest.python(Self.escape + "escape(2)\nsys.stdin.read()")
    let pid = try await engine.started()
    let escaped = try await pids(engine, 1)
    let family = ProcessTable.descendants(of: engine.process.monitorPID).map(\.pid)
    #expect(family.contains(pid) && family.contains(escaped[0]))
    let watched = try Watched(family)
    engine.process.killMonitor()
    _ = try await Watched([engine.process.monitorPID]).gone()
    #expect(engine.process.reapMonitor() == .signaled(SIGKILL))
    var parser = ProcessStatusParser()
    #expect(try engine.process.readStatus(&parser) == .init(records: [], ended: true))
    let swept = try await OrphanReaper.sweep(within: .seconds(10))
    #expect(swept.left == 0)
    _ = try await watched.gone()
    #expect(family.allSatisfy { ProcessTable.entry($0)?.parent != getpid() })
  }

  @Test func theReaperSparesChildrenThatAreNotOrphans() async throws {
    let own = Process()
    own.executableURL = URL(filePath: "/bin/sleep")
    own.arguments = ["600"]
    try own.run()
    // Foundation lets it inherit a mask that blocks SIGTERM.
    defer { kill(own.processIdentifier, SIGKILL) }
    let engine = try await EngineUnderTest.start(["sleep", "600"])
    let watched = try Watched([own.processIdentifier, try await engine.started(), engine.process.monitorPID])
    _ = try await OrphanReaper.sweep(within: .seconds(1))
    #expect(watched.allAlive)
    try await engine.finish()
  }

  @Test func droppingAProcessEndsIt() async throws {
    var engine: EngineUnderTest? = try await EngineUnderTest.python(Self.escape + "escape(1)\nsys.stdin.read()")
    let watched = try await watchFamily(of: #require(engine))
    engine = nil
    _ = try await watched.gone()
  }
}
