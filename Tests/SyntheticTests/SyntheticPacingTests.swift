import PluginProtocol
import Testing
import WireTestSupport

@Suite("Synthetic: progress and cancel", .timeLimit(.minutes(2)))
struct SyntheticPacingTests {
  private static let tasks: [(String, JSONValue)] = [
    ("llm", ["messages": []]), ("audio_stt", ["inputUrl": "x"]), ("audio_tts", ["text": "x"]),
    ("image", ["prompt": "x"]), ("video", ["prompt": "x"]),
  ]

  private func task(_ base: JSONValue, _ more: [String: JSONValue]) -> JSONValue {
    .object((base.object ?? [:]).merging(more) { _, new in new })
  }

  @Test("each step is reported, in order, and the delay is kept", arguments: tasks)
  func steps(_ kind: String, _ base: JSONValue) async throws {
    try await SyntheticBench.use { bench in
      let start = ContinuousClock.now
      let job = try bench.start(kind, task(base, ["delaySeconds": 0.4, "steps": 4]))
      for step in 1...4 {
        let progress = try JobProgress(try await bench.host.notification(Method.jobProgress))
        #expect(progress.step == step && progress.steps == 4 && progress.fraction == Double(step) / 4)
      }
      _ = try await bench.host.answer(to: job)
      #expect(start.duration(to: .now) >= .milliseconds(400))
    }
  }

  @Test("pieces of text are spread over the delay: the first comes before the last step")
  func streaming() async throws {
    try await SyntheticBench.use { bench in
      let job = try bench.start("llm", ["messages": [], "delaySeconds": 0.5, "steps": 5, "chunks": 5])
      var order: [String] = []
      while order.count < 10 {
        guard case .notification(let method, _) = try await bench.host.next() else { break }
        order.append(method)
      }
      #expect(order == Array(repeating: [Method.jobProgress, Method.jobChunk], count: 5).flatMap { $0 })
      _ = try await bench.host.answer(to: job)
    }
  }

  @Test("a cancel during the delay ends the job at once and leaves nothing", arguments: tasks)
  func cancel(_ kind: String, _ base: JSONValue) async throws {
    try await SyntheticBench.use { bench in
      var waits: [Duration] = []
      for round in 0..<3 {
        let id = "\(kind)-\(round)"
        // The first of very many steps is the sign that the job runs.
        let job = try bench.start(kind, task(base, ["delaySeconds": 3600, "steps": 10_000]), id: id)
        _ = try await bench.host.notification(Method.jobProgress)
        let start = ContinuousClock.now
        bench.host.notify(Method.jobCancel, ["jobId": .string(id)])
        #expect(try await bench.host.failure(of: job).failureClass == .cancelled)
        waits.append(start.duration(to: .now))
      }
      // 50 ms are promised; the machine may be busy with other tests.
      #expect(waits.min() ?? .zero < .milliseconds(500), "\(waits)")
      let files = try await Tool.run(["find", bench.directory.path, "-type", "f"]).stdout
      #expect(files == "")
    }
  }

  @Test("eight jobs wait beside each other")
  func concurrency() async throws {
    try await SyntheticBench.use { bench in
      let start = ContinuousClock.now
      let jobs = try (0..<8).map { _ in
        try bench.start("audio_tts", ["text": "x", "delaySeconds": 1, "steps": 2])
      }
      for job in jobs { _ = try await bench.host.answer(to: job) }
      #expect(start.duration(to: .now) < .seconds(6))
    }
  }
}
