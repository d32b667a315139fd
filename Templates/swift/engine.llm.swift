// __NAME__: an engine of the kind llm. It says the last message in capital letters, a word at a time: put your model there.
import PluginProtocol
import Synchronization

final class Shout: Engine {
  let information = EngineInformation(name: "__NAME__", version: "0.1.0")
  private let pace = Mutex(Duration.milliseconds(20))

  /// plugin.yaml declares `pace`, and the operator sets it.
  func initialize(_ parameters: InitializeParameters) async throws -> [String]? {
    if let milliseconds = parameters.config["pace"]?.int { pace.withLock { $0 = .milliseconds(milliseconds) } }
    return nil
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    let messages = try job.taskFields().list("messages")
    guard let prompt = try messages.last?.requiredString("content") else {
      throw EngineError(.badInput, "The last of task.messages needs a text as its content.")
    }
    let words = prompt.uppercased().split(separator: " ").map { "\($0) " }
    for (index, word) in words.enumerated() {
      try await Task.sleep(for: pace.withLock { $0 })
      try await job.chunk(text: word)  // waits for credit; throws when the job was cancelled
      job.progress(fraction: Double(index + 1) / Double(words.count), stage: "words")
    }
    let count = JSONValue(words.count)
    let message: JSONValue = ["role": "assistant", "content": .string(words.joined())]
    return JobRunResult(output: [
      "object": "chat.completion", "model": "__NAME__",
      "choices": [["index": 0, "message": message, "finish_reason": "stop"]],
      "usage": ["prompt_tokens": count, "completion_tokens": count, "total_tokens": JSONValue(2 * words.count)],
    ])
  }
}

@main struct Main {
  static func main() async { await EngineMain.run(Shout()) }
}
