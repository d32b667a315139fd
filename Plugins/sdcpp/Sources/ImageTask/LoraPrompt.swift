import PluginProtocol

/// A prompt without the tags that choose LoRA files and their weights: `<lora:NAME>` or `<lora:NAME:WEIGHT>`.
///
/// All of a model's LoRA files are used; one that no tag names has the default weight, and weight 0 leaves it out.
public struct LoraPrompt: Equatable, Sendable {
  public var text: String
  /// By name; without those of weight 0.
  public var weights: [String: Double]

  static let start = "<lora:"

  /// - Parameters:
  ///   - known: the names of the model's LoRA files, without directories and ending.
  /// - Throws: `EngineError` of class `bad_input` for a name or a weight that is none.
  public init(_ prompt: String, known: [String], defaultWeight: Double) throws(EngineError) {
    text = ""
    weights = Dictionary(known.map { ($0, defaultWeight) }) { first, _ in first }
    var rest = prompt[...]
    while let tag = rest.firstRange(of: Self.start), let end = rest[tag.upperBound...].firstIndex(of: ">") {
      text += rest[..<tag.lowerBound]
      let parts = rest[tag.upperBound..<end].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard weights[name] != nil else {
        let names = known.isEmpty ? "the model has none" : "the model has \(known.sorted().joined(separator: ", "))"
        throw EngineError(.badInput, "task.prompt names the LoRA \(name.prefix(64)), but \(names)")
      }
      weights[name] = try Self.weight(parts.count > 1 ? String(parts[1]) : "1", of: name)
      rest = rest[rest.index(after: end)...]
    }
    text += rest
    weights = weights.filter { $0.value != 0 }
  }

  private static func weight(_ text: String, of name: String) throws(EngineError) -> Double {
    guard let weight = Double(text), Bounds<Double>.loraWeight.range.contains(weight) else {
      let range = Bounds<Double>.loraWeight.range
      throw EngineError(
        .badInput,
        "task.prompt gives the LoRA \(name.prefix(64)) the weight \(text.prefix(32)): it must be a number from "
          + "\(range.lowerBound) to \(range.upperBound)")
    }
    return weight
  }
}
