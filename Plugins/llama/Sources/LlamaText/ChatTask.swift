public import PluginProtocol

/// A job's task of kind `llm`, checked.
public struct ChatTask: Equatable, Sendable {
  /// `{role, content}` objects, the system prompt first.
  public var messages: [JSONValue]
  /// Most tokens to generate; the room left in the context bounds it too.
  public var maxTokens = 512
  /// 0 and below picks the likeliest token.
  public var temperature = 0.7
  public var topP = 1.0
  /// Equal seeds give equal texts.
  public var seed: UInt32 = 1234
  public var stop: [String] = []
  /// A JSON Schema that the answer must match.
  public var schema: JSONValue?
  /// False asks the model's template for no reasoning.
  public var thinking = true
  /// Variables for the chat template.
  public var variables: [String: JSONValue] = [:]

  /// Greatest number of stop strings, and of bytes in one.
  public static let stopLimits = (count: 64, bytes: 1024)
  private static let roles = ["system", "developer", "user", "assistant", "tool"]

  /// Reads a task.
  ///
  /// - Parameter defaults: `chatTemplateKwargs` of the model's options; the task's own win.
  /// - Throws: `FieldError` or `EngineError(.badInput)`, each naming the member.
  public init(_ fields: FieldReader, defaults: JSONValue? = nil) throws {
    messages = try Self.messages(fields)
    if let value = try fields.int("maxTokens") {
      guard value >= 1 else { throw Self.wrong(fields, "maxTokens", "1 or more", String(value)) }
      maxTokens = value
    }
    temperature = try fields.double("temperature") ?? temperature
    if let value = try fields.double("topP") {
      guard value > 0, value <= 1 else { throw Self.wrong(fields, "topP", "above 0 and at most 1", "\(value)") }
      topP = value
    }
    if let value = try fields.count("seed") { seed = Self.seed(value) }
    stop = try fields.strings("stop") ?? []
    guard stop.count <= Self.stopLimits.count, stop.allSatisfy({ 1...Self.stopLimits.bytes ~= $0.utf8.count }) else {
      throw EngineError(
        .badInput,
        "\(fields.path).stop must be at most \(Self.stopLimits.count) strings of 1 to \(Self.stopLimits.bytes) bytes")
    }
    schema = try fields.nested("jsonSchema")?.value
    variables = defaults?.object ?? [:]
    variables.merge(try fields.nested("chatTemplateKwargs")?.value.object ?? [:]) { _, own in own }
    try readReasoning(fields)
  }

  /// The request that the native side takes: what shapes the prompt and the grammar.
  public var request: JSONValue {
    .compact([
      "messages": .array(messages), "thinking": .bool(thinking), "variables": .object(variables),
      "schema": schema ?? .null,
    ])
  }

  private static func messages(_ fields: FieldReader) throws -> [JSONValue] {
    var messages: [JSONValue] = []
    let system = try fields.string("system")
    if let system { messages.append(message("system", system)) }
    let given = try fields.list("messages")
    guard !given.isEmpty else {
      throw EngineError(.badInput, "\(fields.path).messages must be a list with at least one message")
    }
    for (index, entry) in given.enumerated() {
      let role = try entry.requiredString("role")
      let content = try entry.requiredString("content")
      guard roles.contains(role) else { throw wrong(entry, "role", "one of \(roles.joined(separator: ", "))", role) }
      if index == 0, role == "system", let system {
        // Most templates take one system message.
        messages[0] = message("system", system + "\n\n" + content)
      } else {
        messages.append(message(role, content))
      }
    }
    return messages
  }

  private static func message(_ role: String, _ content: String) -> JSONValue {
    ["role": .string(role), "content": .string(content)]
  }

  /// `true`, `false`, or an effort: `none`, `low`, `medium`, `high`, as templates know it.
  private mutating func readReasoning(_ fields: FieldReader) throws {
    switch fields.value["reasoning"] {
    case nil: break
    case .bool(let value): thinking = value
    case .string("auto"), .string("on"): thinking = true
    case .string("off"), .string("none"): thinking = false
    case .string(let effort) where ["minimal", "low", "medium", "high"].contains(effort):
      thinking = true
      variables["reasoning_effort"] = .string(effort)
    case let other?:
      throw Self.wrong(
        fields, "reasoning", "true, false, auto, none, minimal, low, medium or high", String(other.text.prefix(64)))
    }
    // Templates read this variable by name; whoever sets it directly means it.
    if let explicit = variables["enable_thinking"]?.bool { thinking = explicit }
  }

  /// libllama draws a random seed for the greatest value; a seed that was asked for must stay one.
  private static func seed(_ value: UInt64) -> UInt32 {
    let low = UInt32(truncatingIfNeeded: value)
    return low == .max ? .max - 1 : low
  }

  private static func wrong(_ fields: FieldReader, _ key: String, _ expected: String, _ found: String) -> EngineError {
    EngineError(.badInput, "\(fields.path).\(key) must be \(expected), not \(found)")
  }
}
