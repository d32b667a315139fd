import Glibc
import Testing

@testable import Host

@Suite struct ProcessTableTests {
  @Test func aNameWithParenthesesAndSpacesDoesNotShiftTheFields() throws {
    let stat = "42 (a) S 1 (x)) Z 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5555 0 0 0\n"
    let entry = try #require(ProcessTable.parse(Array(stat.utf8)))
    #expect(
      entry == ProcessTable.Entry(pid: 42, state: "Z", parent: 7, group: 8, session: 9, startTime: 5555))
    #expect(!entry.isAlive)
  }

  @Test(arguments: ["", "(", ")(", "42", "42 (a", "42 (a) S", "x (a) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5555"])
  func whatIsNoStatLineIsNothing(text: String) {
    #expect(ProcessTable.parse(Array(text.utf8)) == nil)
  }

  @Test func thisProcessIsInTheTable() throws {
    let entry = try #require(ProcessTable.entry(getpid()))
    #expect(entry.parent == getppid())
    #expect(entry.isAlive)
    #expect(ProcessTable.all().contains { $0.pid == getpid() && $0.startTime == entry.startTime })
    #expect((ProcessTable.residentBytes(getpid()) ?? 0) > 1_000_000)
    #expect(ProcessTable.bootID()?.count == 36)
  }

  @Test func aZombieIsNotAlive() async throws {
    let engine = try await EngineUnderTest.python(
      """
      import os, sys, time
      pid = os.fork()
      if pid == 0: os._exit(0)
      os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
      print(pid, flush=True)
      sys.stdin.read()
      """)
    let pid = try await engine.started()
    let zombie = try #require(Int32(try await engine.line() ?? ""))
    #expect(kill(zombie, 0) == 0)
    #expect(!ProcessTable.isAlive(zombie))
    #expect(ProcessTable.isAlive(pid))
    #expect(ProcessTable.descendants(of: engine.process.monitorPID).map(\.pid).sorted() == [pid, zombie].sorted())
    try await engine.finish()
  }

  @Test func theMemoryKillCounterIsFoundAmongTheOthers() {
    let text = "nr_free_pages 1\noom_kill_other 9\noom_kill 12\nlast 3\n"
    #expect(OOMKillCounter.parse(Array(text.utf8)) == 12)
    #expect(OOMKillCounter.parse(Array("nr_free_pages 1\n".utf8)) == nil)
    #expect(OOMKillCounter.read() != nil)
  }
}
