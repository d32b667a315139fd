import PluginProtocol

extension ConformanceCheck {
  static let jobChecks: [ConformanceCheck] = [
    ConformanceCheck(
      job, "job/run", limit: .seconds(45), demands: "The engine does a job of each kind that the manifest serves."
    ) { bench in
      let engine = try bench.ready()
      var reasons: [String] = []
      for kind in JobKind.allCases where bench.manifest.serves.contains(where: { $0.kind == kind }) {
        switch try bench.prove(kind, on: engine) {
        case .done: break
        case .noModel(let reason): reasons.append(reason)
        case .refused(let error):
          throw ConformanceFault(
            expected: "a result of a small \(kind.cliName) job", got: "error \(error.code): \(error.message)",
            advice: "if the engine needs a task of its own, give one with --job FILE; a model with --model ID or FILE")
        }
      }
      guard !bench.proven.isEmpty else { throw ConformanceStop.skip(reasons.first ?? "the manifest serves nothing") }
      for reason in reasons {
        bench.warn(expected: "a job of each kind", got: reason, advice: "give the suite a model for that kind, too")
      }
    },
    ConformanceCheck(
      "job-unknown-members", "job/run", needs: [job], limit: .seconds(25),
      demands: "Members of a job and of its task that the engine does not know are ignored."
    ) { bench in
      let (work, model) = try bench.provenJob()
      try bench.complete(bench.ready(), work, model) { members, _ in
        members["later"] = ["a": [1, 2]]
        members["trace"] = ["traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "later": 1]
        var task = members["task"]?.object ?? [:]
        task["xLater"] = ["deep": [["a": 1]]]
        task["xNull"] = JSONValue.null
        members["task"] = .object(task)
      }
    },
    ConformanceCheck(
      "job-least-members", "job/run", needs: [job], limit: .seconds(25),
      demands: "A job without optional members (deadline, credit, trace) is done."
    ) { bench in
      let (work, model) = try bench.provenJob()
      try bench.complete(bench.ready(), work, model) { members, _ in
        for name in ["deadlineSeconds", "credit", "trace"] { members[name] = nil }
      }
    },
    ConformanceCheck(
      "job-without-features", "initialize", needs: [job, "features-unoffered"], limit: .seconds(30),
      demands: "Offered no features, the engine does a job, and sends neither chunks nor progress."
    ) { bench in
      guard !bench.manifest.features.contains(Feature.modelResidency.rawValue) else {
        throw ConformanceStop.skip("the engine's models are loaded with the feature model-residency")
      }
      let (work, model) = try bench.provenJob()
      let engine = try bench.fresh(bench.offer(["features": []]))
      try bench.complete(engine, work, model)
      for (method, params) in engine.takeNotifications() where [Method.jobChunk, Method.jobProgress].contains(method) {
        throw ConformanceFault(
          expected: "neither job/chunk nor job/progress when the host offers no features",
          got: Evidence.text(Envelope.notification(method: method, params: params).json),
          advice: "look at the host's features in initialize, and send only what both sides have named")
      }
    },
    ConformanceCheck(
      "bad-input", "Errors", needs: [job], limit: .seconds(25),
      demands: "A task that lacks what it needs, or has it in a wrong type, is refused as `bad_input` with a message."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      for (task, what) in BadTask.all(work.kind) {
        let bad = ConformanceJob(kind: work.kind, task: task)
        let running = try bench.start(engine, bad, model)
        let answer = try bench.finish(running, on: engine)
        guard case .failure(let error) = answer, error.failureClass == .badInput else {
          throw ConformanceFault(
            expected: "the error -32001 (bad_input) for \(what)", got: answer.text,
            advice: "check the task before you work: what is missing or of a wrong type is the caller's fault")
        }
      }
      try engine.expectAlive(after: "a task that was refused")
    },
    ConformanceCheck(
      "second-attempt", "job/run", needs: [job], limit: .seconds(30),
      demands: "A further attempt at a job that has ended is a job of its own: it is done, and its chunks count from 1."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let id = bench.nextJobID()
      for attempt in 1...2 {
        let running = try bench.start(engine, work, model, id: id, attempt: attempt)
        let answer = try bench.finish(running, on: engine)
        guard case .result = answer else {
          throw ConformanceFault(
            expected: "a result of attempt \(attempt)", got: answer.text,
            advice: "forget a job when you have answered it; only a job that still runs may not be run again")
        }
      }
    },
    ConformanceCheck(
      "ping-during-job", "ping", needs: [job], limit: .seconds(30),
      demands: "`ping` is answered within 5 seconds while a job runs."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.prepare(engine, model)
      let running = try bench.start(engine, work.lengthened, model, credit: 0)
      for _ in 0..<3 { try engine.ping("ping while a job runs") }
      engine.notify(Method.jobCancel, ["jobId": .string(running.id)])
      _ = try bench.finish(running, on: engine, within: bench.cancelPatience)
    },
    ConformanceCheck(
      "jobs-in-a-row", "The process", needs: [job], limit: .seconds(20),
      demands: "Ten jobs one after the other leave no descriptors and no child processes behind in the engine."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      let began = engine.now
      // The first jobs may open what is kept.
      for _ in 0..<2 { try bench.complete(engine, work, model) }
      guard let pid = engine.pid else { return }
      let before = ProcessFootprint(of: pid)
      var count = 0
      while count < 10, count < 3 || began.duration(to: engine.now) < .seconds(6) {
        try bench.complete(engine, work, model)
        count += 1
      }
      var after = ProcessFootprint(of: pid)
      // What ends by itself a moment later has not leaked.
      try engine.wait(.seconds(1), looking: .milliseconds(20)) {
        after = ProcessFootprint(of: pid)
        return after.isWithin(before)
      }
      guard after.isWithin(before) else {
        throw ConformanceFault(
          expected: "after \(count) jobs as before them: \(before)", got: "\(after)",
          advice: "close every file and reap every child process at the end of a job, also when it fails")
      }
      if after.threads > before.threads + 4 {
        bench.warn(
          expected: "no more threads after \(count) jobs than before: \(before.threads)", got: "\(after.threads)",
          advice: "let a job's thread end with it")
      }
    },
  ]
}

extension ConformanceBench {
  enum Proof {
    case done
    case noModel(String)
    case refused(RPCError)
  }

  /// Has the engine do a job of that kind: the first of the usual ones that it takes, with the first model.
  func prove(_ kind: JobKind, on engine: RawEngine) throws -> Proof {
    let jobs = setup.job.map { $0.kind == kind ? [$0] : [] } ?? []
    let models: [ModelReference]
    switch setup.models[kind] {
    case .candidates(let found): models = found
    case .missing(let reason): return .noModel(reason)
    case nil: return .noModel("the manifest does not serve \(kind.cliName)")
    }
    var refusal: RPCError?
    for model in models {
      try prepare(engine, model)
      for job in jobs.isEmpty ? ConformanceJob.usual(kind) : jobs {
        let running = try start(engine, job, model)
        switch try finish(running, on: engine) {
        case .result:
          proven.append((job, model))
          return .done
        case .failure(let error):
          // The engine may want another task; anything else is no matter of taste.
          guard error.failureClass == .badInput || error.failureClass == .unsupported else { return .refused(error) }
          refusal = refusal ?? error
        }
      }
    }
    return refusal.map { .refused($0) } ?? .noModel("no model serves \(kind.cliName)")
  }

  /// From `job/cancel` to the answer: the manifest's clock, and a moment for a busy machine.
  var cancelPatience: Duration { manifest.timeouts.cancelGrace + .milliseconds(500) }
}

/// Tasks that no engine can do.
enum BadTask {
  static func all(_ kind: JobKind) -> [(JSONValue, String)] {
    switch kind {
    case .llm: [([:], "a task without messages"), (["messages": 5], "messages that are a number")]
    case .audioSTT:
      [
        ([:], "a task without inputUrl"),
        (["inputUrl": "https://example.invalid/a.wav"], "an inputUrl that is no file: URL"),
      ]
    case .audioTTS: [([:], "a task without text"), (["text": ["a": 1]], "a text that is an object")]
    case .image, .video: [([:], "a task without prompt"), (["prompt": [1]], "a prompt that is a list")]
    }
  }
}

extension ProtocolWatch.Answer {
  var isCancelled: Bool {
    if case .failure(let error) = self { error.failureClass == .cancelled } else { false }
  }
}
