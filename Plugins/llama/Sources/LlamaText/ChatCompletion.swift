public import PluginProtocol

/// A finished answer and its counts, in the shape of an OpenAI `chat.completion`.
public struct ChatCompletion: Sendable {
  /// Why the text ended.
  public enum FinishReason: String, Sendable {
    /// The model ended its turn, or a stop string came.
    case stop
    /// The token limit or the end of the context came first.
    case length
  }

  public var model: String
  public var content = ""
  /// nil when the model did not reason.
  public var reasoning: String?
  public var finishReason = FinishReason.length
  public var promptTokens = 0
  /// Tokens of the prompt whose state was still there from the job before.
  public var reusedTokens = 0
  public var completionTokens = 0
  /// Milliseconds: for the prompt, for the answer, for all.
  public var promptMs = 0.0
  public var predictedMs = 0.0
  public var elapsedMs = 0.0

  public init(model: String) { self.model = model }

  /// `prompt_tokens`, `completion_tokens`, `total_tokens`.
  public var usage: JSONValue {
    [
      "prompt_tokens": JSONValue(promptTokens), "completion_tokens": JSONValue(completionTokens),
      "total_tokens": JSONValue(promptTokens + completionTokens),
    ]
  }

  /// The whole object.
  public var json: JSONValue {
    [
      "object": "chat.completion", "model": .string(model),
      "choices": [
        [
          "index": 0, "finish_reason": .string(finishReason.rawValue),
          "message": .compact([
            "role": "assistant", "content": .string(content), "reasoning_content": JSONValue(reasoning),
          ]),
        ]
      ],
      "usage": usage, "elapsed_ms": JSONValue(Int(elapsedMs.rounded())), "timings": timings,
    ]
  }

  private var timings: JSONValue {
    let computed = promptTokens - reusedTokens
    return .compact([
      "cache_n": JSONValue(reusedTokens), "prompt_n": JSONValue(computed), "prompt_ms": Self.rounded(promptMs),
      "prompt_per_second": Self.rate(computed, promptMs), "predicted_n": JSONValue(completionTokens),
      "predicted_ms": Self.rounded(predictedMs), "predicted_per_second": Self.rate(completionTokens, predictedMs),
    ])
  }

  private static func rounded(_ value: Double) -> JSONValue { .double((value * 1000).rounded() / 1000) }

  private static func rate(_ count: Int, _ milliseconds: Double) -> JSONValue {
    milliseconds > 0 ? rounded(Double(count) / milliseconds * 1000) : .null
  }
}
