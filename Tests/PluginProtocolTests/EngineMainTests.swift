import PluginProtocol
import Testing
import WireTestSupport

@Suite("The kit: a real executable", .timeLimit(.minutes(1)))
struct EngineMainTests {
  private let executable = Tool.built("kit-probe")

  @Test("prints of Swift, of C and of children go to the log, not to the wire")
  func prints() async throws {
    let engine = try ExecutableEngine(executable)
    _ = try await engine.client.greet()
    let result = try await engine.client.answer(to: engine.client.run("llm", ["do": "print"], id: "j"))
    // The child's `read` finds the end of the input at once, not the wire.
    #expect(result["output"]?["status"]?.int == 256)
    _ = try await engine.client.call(Method.shutdown)
    #expect(await engine.process.ended() == .status(0))
    try await engine.client.end()
    #expect(engine.client.noise.isEmpty && engine.client.pending.isEmpty)
    let log = try engine.errorText
    for line in ["printed by Swift\n", "printed by C\n", "printed by a child\n"] { #expect(log.contains(line)) }
    #expect(!log.contains("the child has read"))
  }

  @Test("what was printed before a crash is in the log")
  func crash() async throws {
    let engine = try ExecutableEngine(executable)
    _ = try await engine.client.greet()
    _ = engine.client.run("llm", ["do": "print-and-crash"], id: "j")
    #expect(await engine.process.ended() == .signal(6))
    #expect(try engine.errorText.contains("printed before the crash\n"))
  }

  @Test func endOfInputEndsTheProcess() async throws {
    let engine = try ExecutableEngine(executable)
    _ = try await engine.client.greet()
    engine.client.closeOutput()
    #expect(await engine.process.ended() == .status(0))
  }

  @Test("a job that ignores cancel does not outlive the host")
  func disobedientJob() async throws {
    let engine = try ExecutableEngine(executable)
    _ = try await engine.client.greet()
    _ = engine.client.run("llm", ["do": "disobey"], id: "j")
    _ = try await engine.client.notification(Method.jobProgress)
    engine.client.closeOutput()
    #expect(await engine.process.ended() == .status(0))
  }

  @Test(
    "run by hand on a terminal it says what it is and exits 64",
    .enabled(if: Tool.exists("python3"), "python3 is not installed"))
  func terminal() async throws {
    let script = """
      import os, pty, sys
      pid, terminal = pty.fork()
      if pid == 0:
        os.execv(sys.argv[1], sys.argv[1:])
      text = b""
      try:
        while block := os.read(terminal, 4096):
          text += block
      except OSError:
        pass
      sys.stdout.write(text.decode())
      sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
      """
    let output = try await Tool.run(["python3", "-c", script, executable])
    #expect(output.exit == .status(EngineMain.usageStatus))
    #expect(output.stdout.contains("kit-probe 1.0.0 is an engine"))
    #expect(output.stdout.contains("stoker plugins list"))
  }
}
