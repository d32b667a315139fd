import PluginProtocol
import Testing
import WireTestSupport

@Suite("Synthetic: text", .timeLimit(.minutes(2)))
struct SyntheticTextTests {
  private static let greeting: JSONValue = ["messages": [["role": "user", "content": "hi"]]]

  @Test func introducesItself() async throws {
    let engine = try ExecutableEngine(Tool.built("synthetic-engine"))
    let result = try await engine.client.greet()
    #expect(result.engine.name == "synthetic" && result.concurrency == 8)
    #expect(result.features == ["chunks", "progress", "content-files"])
    engine.client.closeOutput()
    #expect(await engine.process.ended() == .status(0))
  }

  @Test("a chat completion that names the prompt by its hash, streamed in pieces that join to it")
  func chat() async throws {
    try await SyntheticBench.use { bench in
      let answer = try await bench.run("llm", Self.greeting).result
      #expect(
        answer.output == [
          "object": "chat.completion", "model": "synthetic-llm",
          "choices": [
            [
              "index": 0, "finish_reason": "stop",
              "message": ["role": "assistant", "content": "[synthetic] reply to prompt #c0fbd2efb094bcb4"],
            ]
          ],
          "usage": ["prompt_tokens": 2, "completion_tokens": 8, "total_tokens": 10],
        ])
      var text = ""
      for seq in 1...8 {
        let chunk = try JobChunk(try await bench.host.notification(Method.jobChunk))
        #expect(chunk.seq == seq)
        text += chunk.text ?? ""
      }
      #expect(text == "[synthetic] reply to prompt #c0fbd2efb094bcb4")
      #expect(bench.host.pending.isEmpty)
    }
  }

  @Test("the hash is of the lines 'role: content', and words are counted over them")
  func lines() async throws {
    try await SyntheticBench.use { bench in
      let task: JSONValue = [
        "messages": [
          ["role": "system", "content": "be  short\n"], ["role": "user", "content": "é\u{3000}ü"],
        ]
      ]
      let oracle = try await Tool.run([
        "sh", "-c", "printf 'system: be  short\\n\\nuser: é\u{3000}ü' | sha256sum",
      ])
      let output = try await bench.run("llm", task).result.output
      let content = output["choices"]?.array?.first?["message"]?["content"]?.string
      #expect(content == "[synthetic] reply to prompt #\(oracle.stdout.prefix(16))")
      #expect(output["usage"]?["prompt_tokens"] == 6)
    }
  }

  @Test("the number of chunks is the task's to say", arguments: [0, 1, 7, 45, 200])
  func chunks(_ count: Int) async throws {
    try await SyntheticBench.use { bench in
      guard case .object(var task) = Self.greeting else { return }
      task["chunks"] = JSONValue(count)
      let output = try await bench.run("llm", .object(task)).result.output
      let texts = bench.host.pending.compactMap { message -> String? in
        guard case .notification(Method.jobChunk, let params) = message else { return nil }
        return params["text"]?.string
      }
      #expect(texts.count == count)
      let content = output["choices"]?.array?.first?["message"]?["content"]?.string
      if count > 0 { #expect(texts.joined() == content) }
      #expect(try await bench.run("llm", Self.greeting).result.output == output, "an option changed the result")
    }
  }

  @Test func noop() async throws {
    try await SyntheticBench.use { bench in
      let result = try await bench.run("llm", ["noop": true]).result
      #expect(result == JobRunResult())
      #expect(bench.host.pending.isEmpty)
    }
  }

  @Test func transcript() async throws {
    try await SyntheticBench.use { bench in
      let output = try await bench.run("audio_stt", ["inputUrl": "https://example/audio.wav", "language": nil]).result
      #expect(
        output.output == [
          "text": "[synthetic] transcript of ff8354979c9c640a", "language": "en", "duration": 1.0,
        ])
      let dutch = try await bench.run("audio_stt", ["inputUrl": "x", "language": "nl"]).result.output
      #expect(dutch["language"] == "nl" && dutch["text"] != output.output["text"])
    }
  }

  @Test("a transcript names the URL that was submitted, not the place of the host's copy")
  func originalURL() async throws {
    try await SyntheticBench.use { bench in
      let hash = try await Tool.run(["sh", "-c", "printf https://example/audio.wav | sha256sum"]).stdout.prefix(64)
      let entry = JobInput(name: "input-inputUrl.wav", contentType: "audio/wav", bytes: 4, urlSHA256: String(hash))
      let parameters = JobRunParameters(
        jobID: "j", kind: "audio_stt", model: ModelReference(id: "synthetic"),
        task: ["inputUrl": "file:///work/j.1/input-inputUrl.wav"], inputs: ["inputUrl": [entry]],
        workDirectory: "/work/j.1")
      let output = try await bench.host.call(Method.jobRun, parameters.json)["output"]
      #expect(output?["text"] == "[synthetic] transcript of ff8354979c9c640a")
    }
  }

  @Test("a prompt of ten megabytes is read, and the process stays small")
  func hugePrompt() async throws {
    try await SyntheticBench.use { bench in
      let word = String(repeating: "lorem ipsum ", count: 850_000)
      let output = try await bench.run("llm", ["messages": [["role": "user", "content": .string(word)]]]).result.output
      #expect(output["usage"]?["prompt_tokens"] == 1_700_001)
      let status = try await Tool.run(["grep", "VmHWM", "/proc/\(bench.engine.process.pid)/status"]).stdout
      let kilobytes = Int(status.split { !$0.isNumber }.first ?? "") ?? .max
      #expect(kilobytes < 300_000, "\(status)")
    }
  }

  // MARK: Refusals

  @Test("only models that are called synthetic… are served", arguments: ["gpt", "Synthetic", "my-synthetic", "", nil])
  func otherModels(_ model: String?) async throws {
    try await SyntheticBench.use { bench in
      let error = try await bench.failure("llm", Self.greeting, model: model)
      #expect(error.failureClass == .unsupported && error.message.contains("synthetic"))
    }
  }

  @Test func modelsThatAreServed() async throws {
    try await SyntheticBench.use { bench in
      for model in ["synthetic", "synthetic-llm", "synthetic-anything"] {
        _ = try await bench.run("llm", Self.greeting, model: model)
      }
      let other = try await bench.failure("music", [:])
      #expect(other.failureClass == .unsupported && other.message.contains("music"))
    }
  }

  @Test(
    "a missing or bad field is named",
    arguments: [
      ("llm", "{}", "task.messages"), ("llm", #"{"messages":{}}"#, "task.messages"),
      ("llm", #"{"messages":[{"role":"user"}]}"#, "task.messages[0].content"),
      ("llm", #"{"messages":[{"role":"a","content":"b"},{"content":"c"}]}"#, "task.messages[1].role"),
      ("audio_stt", "{}", "task.inputUrl"), ("audio_tts", "{}", "task.text"), ("image", "{}", "task.prompt"),
      ("video", "{}", "task.prompt"), ("image", #"{"prompt":7}"#, "task.prompt"),
      ("video", #"{"prompt":"x","seconds":0}"#, "task.seconds"),
      ("video", #"{"prompt":"x","seconds":1e300}"#, "task.seconds"),
      ("audio_tts", #"{"text":"x","delaySeconds":-1}"#, "task.delaySeconds"),
      ("audio_tts", #"{"text":"x","delaySeconds":3601}"#, "task.delaySeconds"),
      ("audio_tts", #"{"text":"x","delaySeconds":"1"}"#, "task.delaySeconds"),
      ("audio_tts", #"{"text":"x","steps":0}"#, "task.steps"), ("image", #"{"prompt":"x","steps":-1}"#, "task.steps"),
      ("audio_tts", #"{"text":"x","steps":10001}"#, "task.steps"),
      ("audio_tts", #"{"text":"x","steps":1.5}"#, "task.steps"),
      ("audio_tts", #"{"text":"x","chunks":1}"#, "task.chunks"), ("image", #"{"noop":true}"#, "task.noop"),
      ("llm", #"{"messages":[],"chunks":-1}"#, "task.chunks"),
      ("llm", #"{"messages":[],"chunks":10001}"#, "task.chunks"),
    ] as [(String, String, String)])
  func badFields(_ kind: String, _ task: String, _ path: String) async throws {
    try await SyntheticBench.use { bench in
      let error = try await bench.failure(kind, try JSONValue(parsing: task))
      #expect(error.failureClass == .badInput)
      #expect(error.message.hasPrefix("\(path) "), "\(error.message)")
    }
  }
}
