import PluginProtocol

/// A reply to chat messages: names the prompt by its hash.
struct Chat: Sendable {
  /// Tokens that every reply is said to have, and the number of pieces it is streamed in unless the task says.
  static let completionTokens = 8

  private let content: String
  private let promptTokens: Int

  init(_ fields: FieldReader) throws {
    guard fields.value["messages"] != nil else {
      throw EngineError(.badInput, "task.messages is missing: it must be a list of {role, content}")
    }
    var parts: [String] = []
    for message in try fields.list("messages") {
      if !parts.isEmpty { parts.append("\n") }
      parts += [try message.requiredString("role"), ": ", try message.requiredString("content")]
    }
    content = "[synthetic] reply to prompt #\(Fingerprint(of: parts).short)"
    promptTokens = Chat.words(parts)
  }

  /// Words between white space, counted over the parts as one text.
  private static func words(_ parts: [String]) -> Int {
    var count = 0
    var inWord = false
    for part in parts {
      for scalar in part.unicodeScalars {
        let isSpace = scalar.isASCII ? scalar.value == 0x20 || 9...13 ~= scalar.value : scalar.properties.isWhitespace
        if !isSpace, !inWord { count += 1 }
        inWord = !isSpace
      }
    }
    return count
  }

  /// The content in `count` pieces of nearly one length; some are empty when there are more than characters.
  func pieces(_ count: Int) -> [String] {
    let characters = Array(content)
    return (0..<count).map { index in
      String(characters[characters.count * index / count..<characters.count * (index + 1) / count])
    }
  }

  /// An OpenAI `chat.completion`.
  var result: JobRunResult {
    let completion = Chat.completionTokens
    return JobRunResult(
      output: [
        "object": "chat.completion", "model": "synthetic-llm",
        "choices": [
          [
            "index": 0, "message": ["role": "assistant", "content": .string(content)],
            "finish_reason": "stop",
          ]
        ],
        "usage": [
          "prompt_tokens": JSONValue(promptTokens), "completion_tokens": JSONValue(completion),
          "total_tokens": JSONValue(promptTokens + completion),
        ],
      ],
      usage: ["promptTokens": JSONValue(promptTokens), "completionTokens": JSONValue(completion)])
  }
}
