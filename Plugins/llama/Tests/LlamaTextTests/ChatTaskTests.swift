import LlamaText
import PluginProtocol
import Testing

@Suite struct ChatTaskTests {
  private func task(_ members: [String: JSONValue], defaults: JSONValue? = nil) throws -> ChatTask {
    var all = members
    all["messages"] = all["messages"] ?? [["role": "user", "content": "hi"]]
    return try ChatTask(try FieldReader(.object(all), path: "task"), defaults: defaults)
  }

  @Test func defaultsAreTheStudios() throws {
    let task = try task([:])
    #expect(task.maxTokens == 512)
    #expect(task.temperature == 0.7)
    #expect(task.topP == 1)
    #expect(task.seed == 1234)
    #expect(task.thinking)
    #expect(task.request["schema"] == nil)
  }

  @Test func systemGoesFirstAndJoinsTheMessageOfThatRole() throws {
    #expect(try task(["system": "A"]).messages.map { $0["content"]?.string } == ["A", "hi"])
    let messages: JSONValue = [["role": "system", "content": "B"], ["role": "user", "content": "hi"]]
    #expect(
      try task(["system": "A", "messages": messages]).messages.map { $0["content"]?.string } == ["A\n\nB", "hi"])
  }

  @Test func reasoningIsASwitchOrAnEffort() throws {
    #expect(try task(["reasoning": false]).thinking == false)
    #expect(try task(["reasoning": "none"]).thinking == false)
    let low = try task(["reasoning": "low"])
    #expect(low.thinking)
    #expect(low.variables["reasoning_effort"] == "low")
    #expect(try task(["chatTemplateKwargs": ["enable_thinking": false]]).thinking == false)
  }

  @Test func theTasksVariablesWinOverTheModels() throws {
    let task = try task(["chatTemplateKwargs": ["a": 1]], defaults: ["a": 0, "b": 2])
    #expect(task.variables == ["a": 1, "b": 2])
  }

  @Test func everySeedIsAFixedOne() throws {
    #expect(try task(["seed": 4_294_967_295]).seed == 4_294_967_294)
    #expect(try task(["seed": 4_294_967_296]).seed == 0)
    #expect(try task(["seed": 7]).seed == 7)
  }

  @Test(arguments: [
    #"{"maxTokens": 0}"#, #"{"maxTokens": "9"}"#, #"{"temperature": "hot"}"#, #"{"topP": 0}"#, #"{"topP": 1.5}"#,
    #"{"stop": "x"}"#, #"{"stop": [""]}"#, #"{"stop": [1]}"#, #"{"seed": -1}"#, #"{"reasoning": "maybe"}"#,
    #"{"messages": "hi"}"#, #"{"messages": []}"#, #"{"messages": [{"role": "user"}]}"#,
    #"{"messages": [{"role": "cat", "content": "x"}]}"#, #"{"messages": [{"role": "user", "content": 5}]}"#,
    #"{"jsonSchema": "x"}"#, #"{"chatTemplateKwargs": [1]}"#,
  ])
  func wrongMembersAreNamed(text: String) throws {
    let (key, value) = try #require(try JSONValue(parsing: text).object?.first)
    do {
      _ = try task([key: value])
      Issue.record("\(key) \(value.text) was accepted")
    } catch let error as EngineError {
      #expect(error.failure == .badInput)
      #expect(error.message.contains("task.\(key)"))
    } catch let error as FieldError {
      #expect(error.description.contains("task.\(key)"))
    }
  }
}
