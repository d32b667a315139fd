import LlamaText
import PluginProtocol
import Testing

@Suite struct ChatCompletionTests {
  @Test func hasTheShapeOfAChatCompletion() throws {
    var completion = ChatCompletion(model: "m")
    completion.content = "ok"
    completion.finishReason = .stop
    completion.promptTokens = 10
    completion.reusedTokens = 4
    completion.completionTokens = 5
    completion.promptMs = 3
    completion.predictedMs = 50
    completion.elapsedMs = 53.6
    let json = completion.json
    #expect(json["object"] == "chat.completion")
    #expect(
      json["choices"] == [
        ["index": 0, "finish_reason": "stop", "message": ["role": "assistant", "content": "ok"]]
      ])
    #expect(json["usage"] == ["prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15])
    #expect(json["elapsed_ms"] == 54)
    #expect(json["timings"]?["prompt_n"] == 6)
    #expect(json["timings"]?["prompt_per_second"] == .double(2000))
    #expect(json["timings"]?["predicted_per_second"] == .double(100))
  }

  @Test func reasoningIsLeftOutWhenThereIsNone() {
    var completion = ChatCompletion(model: "m")
    #expect(completion.json["choices"]?.array?.first?["message"]?["reasoning_content"] == nil)
    completion.reasoning = "why"
    #expect(completion.json["choices"]?.array?.first?["message"]?["reasoning_content"] == "why")
  }
}
