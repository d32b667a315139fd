import PluginProtocol

extension ConformanceCheck {
  static let modelChecks: [ConformanceCheck] = [
    ConformanceCheck(
      "model-bad-file", "model/load", limit: .seconds(20),
      demands: "With model-residency, a file that is no model is refused as `bad_input`, and the engine goes on."
    ) { bench in
      let engine = try bench.ready()
      try bench.require(.modelResidency, engine)
      let patterns = bench.manifest.serves.flatMap(\.models).map(\.text)
      let ending = patterns.first { $0.hasPrefix("*.") }.map { $0.dropFirst() } ?? ".bin"
      let name = "no-model\(ending)"
      let path = FilePath.join(bench.directories.models, name)
      if FilePath.kind(path) == nil {
        try ConformanceFiles.write(
          Array(repeating: Array("this is no model\n".utf8), count: 300).flatMap { $0 }, to: path)
      }
      let model: JSONValue = [
        "id": .string(name), "files": [["role": "model", "path": .string(path)]],
      ]
      let id = engine.request(Method.modelLoad, ["model": model])
      let answer = try engine.answer(id, to: "model/load of a text file", within: .seconds(15) * bench.scale)
      guard case .failure(let error) = answer, error.failureClass == .badInput || error.failureClass == .unsupported
      else {
        throw ConformanceFault(
          expected: "the error -32001 (bad_input) for a model file that holds plain text", got: answer.text,
          advice: "check what the file is before you use it: another attempt cannot help")
      }
      try engine.expectAlive(after: "a model that was refused")
    },
    ConformanceCheck(
      "model-load", "model/load", limit: .seconds(45),
      demands:
        "With model-residency, a model is loaded, loaded again at once, unloaded, unloaded again, and loaded once more."
    ) { bench in
      let engine = try bench.ready()
      try bench.require(.modelResidency, engine)
      let kinds = JobKind.allCases.compactMap { bench.setup.models[$0] }
      let models = kinds.compactMap { if case .candidates(let found) = $0 { found.first } else { nil } }
      guard let model = models.first else {
        if case .missing(let reason)? = kinds.first { throw ConformanceStop.skip(reason) }
        throw ConformanceStop.skip("the manifest serves nothing")
      }
      func load(_ what: String) throws {
        let result = try engine.result(
          engine.request(Method.modelLoad, ["model": model.json]), to: what, within: .seconds(30) * bench.scale)
        for name in ["memoryBytes", "deviceBytes", "contextLength"] where result[name] != nil {
          guard result[name]?.uint != nil else {
            throw ConformanceFault(
              expected: "\(name), a whole number", got: Evidence.text(result), advice: "leave out what you do not know")
          }
        }
      }
      func unload(_ what: String) throws {
        let result = try engine.result(
          engine.request(Method.modelUnload, ["model": ["id": .string(model.id)]]), to: what,
          within: .seconds(15) * bench.scale)
        guard result == .object([:]) else {
          throw ConformanceFault(
            expected: "the result {} of model/unload", got: Evidence.text(result), advice: "answer with an empty object"
          )
        }
      }
      try load("model/load")
      try load("model/load of a model that is loaded")
      try unload("model/unload")
      try unload("model/unload of a model that is not loaded")
      try load("model/load after model/unload")
      engine.loaded = model.id
    },
  ]
}
