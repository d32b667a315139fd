public import PluginProtocol

/// What a file is to a model. The first six are a studio's; the others are of models that have more than one encoder.
public enum ModelRole: String, CaseIterable, Sendable {
  case model
  case diffusionModel = "diffusion-model"
  case vae
  case textEncoder = "text-encoder"
  case textEncoderVision = "text-encoder-vision"
  case lora
  case highNoiseDiffusionModel = "high-noise-diffusion-model"
  case clipL = "clip-l"
  case clipG = "clip-g"
  case t5xxl
  case clipVision = "clip-vision"

  /// A model's files by role: one of each, any number of LoRA files, and something to draw with.
  ///
  /// - Throws: `EngineError` of class `bad_input`.
  public static func sorted(_ model: ModelReference) throws(EngineError) -> [ModelRole: [String]] {
    var paths: [ModelRole: [String]] = [:]
    for file in model.files {
      guard let role = ModelRole(rawValue: file.role) else {
        let names = allCases.map(\.rawValue).joined(separator: ", ")
        throw EngineError(
          .badInput, "Model \(model.id) has a file of role \"\(file.role.prefix(64))\", which must be one of \(names).")
      }
      paths[role, default: []].append(file.path)
    }
    if let twice = allCases.first(where: { $0 != .lora && paths[$0, default: []].count > 1 }) {
      throw EngineError(.badInput, "Model \(model.id) has more than one file of role \"\(twice.rawValue)\": keep one.")
    }
    guard paths[.model] != nil || paths[.diffusionModel] != nil else {
      throw EngineError(
        .badInput,
        "Model \(model.id) names no file of role \"model\" or \"diffusion-model\": add it to the catalogue entry.")
    }
    return paths
  }

  /// The name by which a prompt calls a LoRA file: that of the file without directories and ending.
  public static func loraName(_ path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return String(name) }
    return String(name[..<dot])
  }
}
