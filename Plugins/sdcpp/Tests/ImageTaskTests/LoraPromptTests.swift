import ImageTask
import PluginProtocol
import Testing

@Suite struct LoraPromptTests {
  private func prompt(_ text: String, _ known: [String] = ["ink", "film"]) throws -> LoraPrompt {
    try LoraPrompt(text, known: known, defaultWeight: 0.8)
  }

  @Test func everyLoraOfTheModelIsUsed() throws {
    #expect(try prompt("a cat").weights == ["ink": 0.8, "film": 0.8])
    #expect(try prompt("a cat").text == "a cat")
    #expect(try prompt("a cat", []).weights.isEmpty)
  }

  @Test func tagsChooseTheWeightAndLeaveThePrompt() throws {
    let found = try prompt("<lora:ink:0.25>a <lora:film:0>cat<lora:ink:0.5>")
    #expect(found.text == "a cat")
    #expect(found.weights == ["ink": 0.5])
    #expect(try prompt("<lora:film>x").weights["film"] == 1)
    #expect(try prompt("<lora:ink:-1>x").weights["ink"] == -1)
  }

  @Test func whatIsNoTagStays() throws {
    #expect(try prompt("a <b> c <lora:ink").text == "a <b> c <lora:ink")
  }

  @Test(arguments: ["<lora:oil:1>", "<lora::1>", "<lora:ink:much>", "<lora:ink:nan>", "<lora:ink:99>", "<lora:ink:>"])
  func unknownNamesAndWeightsAreRefused(tag: String) {
    let found = refusal { try prompt("a \(tag) cat") }
    #expect(found?.kind == .badInput)
    #expect(found?.message.contains("task.prompt") == true)
  }
}
