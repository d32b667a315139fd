import Glibc
import PluginProtocol

extension ConformanceCheck {
  static let endChecks: [ConformanceCheck] = [
    ConformanceCheck(
      "shutdown", "shutdown", limit: .seconds(20),
      demands:
        "`shutdown` is answered with {}, and the process is gone with status 0 within its clock, with every child process."
    ) { bench in
      let engine = try bench.fresh()
      if !bench.proven.isEmpty { try bench.completeProven(engine) }
      let id = engine.request(Method.shutdown)
      let result = try engine.result(id, to: "shutdown", within: bench.manifest.timeouts.shutdown)
      guard result == .object([:]) else {
        throw ConformanceFault(
          expected: "the result {} of shutdown", got: Evidence.text(result), advice: "answer with an empty object")
      }
      let exit = try engine.expectExit(after: "shutdown", within: bench.exitPatience)
      guard exit == .status(0) else {
        throw ConformanceFault(
          expected: "exit status 0 after shutdown", got: engine.lastWords ?? exit.text, advice: "exit with 0")
      }
      try bench.expectNoChildren(of: engine)
    },
    ConformanceCheck(
      "shutdown-during-job", "shutdown", needs: [job, "shutdown"], limit: .seconds(25),
      demands: "`shutdown` ends the process within its clock also while a job runs."
    ) { bench in
      let engine = try bench.busy()
      engine.request(Method.shutdown)
      _ = try engine.expectExit(after: "shutdown during a job", within: bench.exitPatience)
      try bench.expectNoChildren(of: engine)
    },
    ConformanceCheck(
      "end-of-input", "shutdown", limit: .seconds(20),
      demands: "The end of stdin ends the process, with status 0 and within the clock of shutdown."
    ) { bench in
      let engine = try bench.fresh()
      engine.closeInput()
      let exit = try engine.expectExit(after: "the end of stdin", within: bench.exitPatience)
      guard exit == .status(0) else {
        throw ConformanceFault(
          expected: "exit status 0 after the end of stdin", got: engine.lastWords ?? exit.text,
          advice: "leave the loop that reads stdin, and exit with 0")
      }
      try bench.expectNoChildren(of: engine)
    },
    ConformanceCheck(
      "end-of-input-during-job", "shutdown", needs: [job, "end-of-input"], limit: .seconds(25),
      demands: "The end of stdin ends the process within the clock of shutdown also while a job runs."
    ) { bench in
      let engine = try bench.busy()
      engine.closeInput()
      _ = try engine.expectExit(after: "the end of stdin during a job", within: bench.exitPatience)
    },
    ConformanceCheck("sigterm", "The process", limit: .seconds(20), demands: "SIGTERM ends the process.") { bench in
      let engine = try bench.fresh()
      engine.process.signalGroup(.terminate)
      _ = try engine.expectExit(after: "SIGTERM", within: bench.exitPatience)
    },
    ConformanceCheck(
      "host-death", "The process", limit: .seconds(25),
      demands:
        "When the host dies in the middle of a job, the engine and everything that it has started are gone at once."
    ) { bench in
      let engine = bench.proven.isEmpty ? try bench.fresh() : try bench.busy()
      let pids = ([engine.pid].compactMap { $0 } + ProcessTable.descendants(of: engine.process.monitorPID).map(\.pid))
        .compactMap(ProcessTable.entry)
      // What the launcher sees of a host's death: the end of its control pipe.
      engine.process.close(.control)
      let isGone = { pids.allSatisfy { ProcessTable.entry($0.pid)?.startTime != $0.startTime } }
      try engine.wait(.seconds(5), looking: .milliseconds(10)) { engine.process.reapMonitor() != nil && isGone() }
      let left = pids.filter { ProcessTable.entry($0.pid)?.startTime == $0.startTime }
      guard left.isEmpty else {
        throw ConformanceFault(
          expected: "no process of the engine after the host's death", got: "processes \(left.map(\.pid)) are left",
          advice: "do not make processes that cannot be killed")
      }
    },
    ConformanceCheck(
      "by-hand", "The process", needs: [manifestName], isAdvice: true,
      demands: "Started by hand on a terminal, the engine says on stderr what it is and exits with status 64."
    ) { bench in
      let seen = try TerminalStart.run(bench.setup.process, within: .seconds(5))
      guard seen.status == 64, !seen.errors.isEmpty else {
        let status = seen.status.map { "exit status \($0)" } ?? "it still ran after 5 seconds"
        throw ConformanceFault(
          expected: "exit status 64, and what it is on stderr",
          got: "\(status); on stderr: \(Evidence.text(seen.errors))",
          advice: "look whether stdin is a terminal before anything else")
      }
    },
  ]
}

extension ConformanceBench {
  /// From `shutdown`, the end of stdin or SIGTERM to the exit: the manifest's clock, and a moment for a busy machine.
  var exitPatience: Duration { manifest.timeouts.shutdown + .milliseconds(500) }

  /// A process of its own with a job in its middle.
  func busy() throws -> RawEngine {
    let (work, model) = try provenJob()
    let engine = try fresh()
    try prepare(engine, model)
    let running = try start(engine, work.lengthened, model, credit: 1)
    try engine.wait(.milliseconds(200)) {
      engine.watch.jobs[running.id]?.hasEnded ?? true || (engine.watch.jobs[running.id]?.lastSeq ?? 0) > 0
    }
    return engine
  }

  func expectNoChildren(of engine: RawEngine) throws {
    var left: [ProcessTable.Entry] = []
    // A child that is dying with its parent is none.
    try engine.wait(.seconds(1), looking: .milliseconds(20)) {
      left = ProcessTable.descendants(of: engine.process.monitorPID).filter { $0.isAlive && $0.pid != engine.pid }
      return left.isEmpty
    }
    guard let first = left.first else { return }
    throw ConformanceFault(
      expected: "no child process after the engine's exit",
      got: "\(left.count) left, the first is \(first.pid): \(ProcessTable.command(first.pid))",
      advice: "end your child processes and wait for them before you exit")
  }
}
