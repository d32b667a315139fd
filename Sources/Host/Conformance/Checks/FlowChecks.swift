import PluginProtocol

extension ConformanceCheck {
  static let flowChecks: [ConformanceCheck] = [
    ConformanceCheck(
      "credit-stop", "job/chunk", needs: [job], limit: .seconds(30),
      demands: "With a credit of 2 the engine stops after two chunks, answers `ping`, and goes on when there is more."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.require(.chunks, engine)
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work, model, credit: 2)
      let state = { engine.watch.jobs[running.id] }
      try engine.wait(bench.jobPatience) { (state()?.chunks ?? 2) >= 2 || state()?.hasEnded ?? true }
      if state()?.hasEnded == false { try engine.settle("ping while the job waits for credit") }
      let seen = state()?.chunks ?? 0
      guard seen <= 2 else {
        throw ConformanceFault(
          expected: "2 chunks with a credit of 2", got: "\(seen) chunks",
          advice: "wait before each chunk until its seq is at most the credit")
      }
      guard state()?.hasEnded == false, seen == 2 else {
        _ = try bench.finish(running, on: engine)
        throw ConformanceStop.skip("the job is too short: give one of more than two chunks with --job FILE")
      }
      engine.notify(Method.jobCredit, ["jobId": .string(running.id), "through": 3])
      // The next piece was made before: it only waits to be sent.
      let goesOn = try engine.wait(.seconds(5)) { (state()?.chunks ?? 3) >= 3 || state()?.hasEnded ?? true }
      guard goesOn else {
        throw ConformanceFault(
          expected: "more chunks after job/credit", got: "none",
          advice: "wake the job that waits when job/credit arrives: through is the greatest seq allowed")
      }
      // A smaller number, and one for a stranger, change nothing.
      engine.notify(Method.jobCredit, ["jobId": .string(running.id), "through": 1])
      engine.notify(Method.jobCredit, ["jobId": "nobody", "through": 1000])
      let answer = try bench.finish(running, on: engine)
      guard case .result = answer else {
        throw ConformanceFault(
          expected: "a result once there is credit", got: answer.text, advice: "go on where the job waited")
      }
      bench.creditWorks = true
    },
    ConformanceCheck(
      "credit-zero", "job/chunk", needs: ["credit-stop"], limit: .seconds(30),
      demands: "With a credit of 0 no chunk comes before the first `job/credit`."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work, model, credit: 0)
      try engine.settle("ping while the job waits for credit")
      let seen = engine.watch.jobs[running.id]?.chunks ?? 0
      _ = try bench.finish(running, on: engine)
      guard seen == 0 else {
        throw ConformanceFault(
          expected: "no chunk with a credit of 0", got: "\(seen) chunks", advice: "a credit of 0 is not an absent one")
      }
    },
    ConformanceCheck(
      "cancel-waiting", "job/chunk", needs: ["credit-stop"], limit: .seconds(25),
      demands: "A job that waits for credit obeys `job/cancel`."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work, model, credit: 1)
      defer { FileTree.remove(running.directory) }
      try engine.wait(bench.jobPatience) { (engine.watch.jobs[running.id]?.chunks ?? 1) >= 1 }
      engine.notify(Method.jobCancel, ["jobId": .string(running.id)])
      // No more credit is given: what is not cancelled would wait for ever.
      let answer = try engine.answer(
        running.request, to: "job/run, which waits for credit and is cancelled,", within: bench.cancelPatience)
      guard answer.isCancelled else {
        throw ConformanceFault(
          expected: "the error -32800", got: answer.text, advice: "end the wait for credit when the job is cancelled")
      }
    },
  ]

  static let cancelChecks: [ConformanceCheck] = [
    ConformanceCheck(
      "cancel", "job/cancel", needs: [job], limit: .seconds(40),
      demands:
        "A job that is cancelled while it runs is answered within `cancelGrace`: with -32800, or with its result."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work.lengthened, model, credit: 1)
      // In the middle of the work, as far as the engine shows it.
      try engine.wait(.milliseconds(300)) {
        engine.watch.jobs[running.id]?.hasEnded ?? true || (engine.watch.jobs[running.id]?.lastSeq ?? 0) > 0
      }
      try bench.cancel(running, on: engine, times: 1)
    },
    ConformanceCheck(
      "cancel-at-once", "job/cancel", needs: ["cancel"], limit: .seconds(20),
      demands: "A `job/cancel` right behind its `job/run` is obeyed."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work.lengthened, model)
      try bench.cancel(running, on: engine, times: 1)
    },
    ConformanceCheck(
      "cancel-twice", "job/cancel", needs: ["cancel"], limit: .seconds(20),
      demands: "A second `job/cancel` changes nothing: one answer comes."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work.lengthened, model)
      try bench.cancel(running, on: engine, times: 2)
      engine.notify(Method.jobCancel, ["jobId": .string(running.id)])
      try engine.settle("a ping after three cancels")
    },
    ConformanceCheck(
      "cancel-nothing", "job/cancel", needs: [job], limit: .seconds(25),
      demands: "A `job/cancel` for a job that has ended, or never was, is ignored."
    ) { bench in
      let engine = try bench.ready()
      let (running, _) = try bench.completeProven(engine)
      engine.notify(Method.jobCancel, ["jobId": .string(running.id)])
      engine.notify(Method.jobCancel, ["jobId": "nobody"])
      engine.notify(Method.jobCredit, ["jobId": .string(running.id), "through": 100])
      try engine.expectAlive(after: "cancels for jobs that do not run")
    },
    ConformanceCheck(
      "job-after-cancel", "job/cancel", needs: ["cancel"], limit: .seconds(40),
      demands: "After a cancelled job the next one is done."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work.lengthened, model)
      try bench.cancel(running, on: engine, times: 1)
      try bench.completeProven(engine)
    },
    ConformanceCheck(
      "multiplex", "job/run", needs: [job, "cancel"], limit: .seconds(45),
      demands:
        "Jobs that run at a time, as many as the engine takes, are all answered; one that is cancelled does not harm the others."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      let count = min(4, Int(engine.greeting?["concurrency"]?.int ?? 1))
      guard count > 1 else { throw ConformanceStop.skip("the engine takes one job at a time") }
      try bench.prepare(engine, model)
      // Without credit jobs with chunks are all under way when the cancel comes.
      let credit = bench.creditWorks ? 0 : defaultChunkCredit
      let running = try (0..<count).map { _ in try bench.start(engine, work, model, credit: credit) }
      engine.notify(Method.jobCancel, ["jobId": .string(running[0].id)])
      for one in running {
        let answer = try bench.finish(one, on: engine, within: bench.jobPatience)
        if case .result = answer { continue }
        guard one.id == running[0].id, answer.isCancelled else {
          throw ConformanceFault(
            expected: "a result of each of \(count) jobs that run at a time, but for the one that was cancelled",
            got: "\(one.id): \(answer.text)", advice: "keep the state of each job apart, by its jobId")
        }
      }
      try engine.expectAlive(after: "jobs that ran at a time")
    },
  ]
}

extension ConformanceBench {
  /// Cancels a job and judges its answer.
  func cancel(_ running: RunningJob, on engine: RawEngine, times: Int) throws {
    for _ in 0..<times { engine.notify(Method.jobCancel, ["jobId": .string(running.id)]) }
    defer { FileTree.remove(running.directory) }
    let answer: ProtocolWatch.Answer
    do {
      answer = try engine.answer(running.request, to: "job/run after job/cancel", within: cancelPatience)
    } catch let fault as ConformanceFault {
      throw ConformanceFault(
        expected: fault.expected, got: fault.got,
        advice: "look at the cancelled mark of a job at every step of its work; the host kills the process after "
          + "cancelGrace (\(DurationText.text(manifest.timeouts.cancelGrace)))")
    }
    // A cancel that came too late must not be found out by the next check.
    if case .result = answer { return try engine.expectAlive(after: "job/cancel for a job that has ended") }
    guard answer.isCancelled else {
      throw ConformanceFault(
        expected: "the error -32800, or the result of a job that was just done", got: answer.text,
        advice: "answer a cancelled job with -32800 and the class cancelled, whatever the work threw")
    }
  }
}
