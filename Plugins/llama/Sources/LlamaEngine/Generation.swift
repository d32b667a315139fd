import CLlama
import LlamaText
import PluginProtocol

/// One job's way through the model: prompt, tokens, text, answer.
///
/// Runs on the compute thread except while it waits for the host's credit.
struct Generation: ~Copyable {
  private let job: EngineJob
  private let task: ChatTask
  private let model: LoadedModel
  private let started = ContinuousClock.now

  private var characters = UTF8Gate()
  private var splitter = ReasoningSplitter()
  private var stops: StopFilter
  private var content: [UInt8] = []
  private var reasoning: [UInt8] = []
  private var completion: ChatCompletion

  init(job: EngineJob, task: ChatTask, model: LoadedModel) {
    self.job = job
    self.task = task
    self.model = model
    stops = StopFilter(task.stop)
    completion = ChatCompletion(model: model.id)
  }

  /// Generates the answer, sending chunks on the way.
  mutating func run(isolation: isolated (any Actor)? = #isolation) async throws -> ChatCompletion {
    defer { sllama_end(model.handle) }
    let room = try begin()
    try prefill()
    let generating = ContinuousClock.now
    completion.promptMs = started.milliseconds(to: generating)
    try await generate(atMost: min(task.maxTokens, room))
    completion.predictedMs = generating.milliseconds(to: .now)
    completion.elapsedMs = started.milliseconds(to: .now)
    completion.content = String(decoding: content, as: UTF8.self)
    if !reasoning.isEmpty { completion.reasoning = Self.trimmingEnd(reasoning) }
    return completion
  }

  /// Hands the prompt over; returns how many tokens the context has left for the answer.
  private mutating func begin() throws -> Int {
    let request = task.request.bytes
    var sampling = sllama_sampling(temperature: Float(task.temperature), top_p: Float(task.topP), seed: task.seed)
    var prompt = sllama_prompt()
    try native { error in
      request.withUnsafeBytes { bytes in
        sllama_begin(
          model.handle, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &sampling,
          { context in
            guard let context else { return false }
            return Unmanaged<EngineJob>.fromOpaque(context).takeUnretainedValue().isCancelled
          }, Unmanaged.passUnretained(job).toOpaque(), &prompt, error)
      }
    }
    completion.promptTokens = Int(prompt.prompt_tokens)
    completion.reusedTokens = Int(prompt.reused_tokens)
    let endTags = withUnsafeBytes(of: &prompt.reasoning_end) { bytes in
      bytes.bindMemory(to: UnsafePointer<CChar>?.self).prefix(prompt.reasoning_end_count)
        .compactMap { $0.map { String(cString: $0) } }
    }
    splitter = ReasoningSplitter(
      startTag: prompt.reasoning_start.map { String(cString: $0) } ?? "", endTags: endTags,
      isOpen: prompt.in_reasoning)
    return Int(prompt.context_size - prompt.prompt_tokens)
  }

  private func prefill() throws {
    var computed = Int32(completion.reusedTokens)
    while computed < completion.promptTokens {
      try job.checkCancelled()
      try native { sllama_prefill(model.handle, &computed, $0) }
      if computed < completion.promptTokens {
        job.progress(step: Int(computed), steps: completion.promptTokens, stage: "prompt")
      }
    }
  }

  private mutating func generate(
    atMost limit: Int, isolation: isolated (any Actor)? = #isolation
  ) async throws {
    while completion.completionTokens < limit, !stops.hasStopped {
      try job.checkCancelled()
      var piece: UnsafePointer<CChar>?
      var length = 0
      var ended = false
      let constrained = task.schema != nil && !splitter.isReasoning
      try native { sllama_next(model.handle, constrained, &piece, &length, &ended, $0) }
      guard !ended else {
        completion.finishReason = .stop
        break
      }
      completion.completionTokens += 1
      let bytes = UnsafeRawBufferPointer(start: piece, count: length)
      let text = characters.feed(bytes)
      if !text.isEmpty { try await send(splitter.feed(text)) }
    }
    try await send(splitter.feed(characters.finish()))
    try await send(splitter.finish())
    try await emit(stops.finish())
    if stops.hasStopped { completion.finishReason = .stop }
  }

  private mutating func send(
    _ parts: ReasoningSplitter.Parts, isolation: isolated (any Actor)? = #isolation
  ) async throws {
    if !parts.reasoning.isEmpty {
      reasoning += parts.reasoning
      try await job.chunk(data: ["reasoning": .string(String(decoding: parts.reasoning, as: UTF8.self))])
    }
    if !parts.content.isEmpty { try await emit(stops.feed(parts.content)) }
  }

  private mutating func emit(_ text: [UInt8], isolation: isolated (any Actor)? = #isolation) async throws {
    guard !text.isEmpty else { return }
    content += text
    try await job.chunk(text: String(decoding: text, as: UTF8.self))
  }

  private static func trimmingEnd(_ bytes: [UInt8]) -> String {
    let end = bytes.lastIndex { $0 != 0x20 && !(0x09...0x0D).contains($0) }
    return String(decoding: bytes[..<(end.map { $0 + 1 } ?? 0)], as: UTF8.self)
  }
}

extension ContinuousClock.Instant {
  fileprivate func milliseconds(to end: Self) -> Double {
    let parts = duration(to: end).components
    return Double(parts.seconds) * 1000 + Double(parts.attoseconds) / 1e15
  }
}
