import PluginProtocol

extension ConformanceCheck {
  static let manifestName = "manifest"

  /// Its verdict is the host's own, from before anything was started.
  static let manifest = ConformanceCheck(
    manifestName, "The manifest", needs: [], demands: "The manifest can be used: the verdict of `stoker plugins lint`."
  ) { _ in }

  static let handshakeChecks: [ConformanceCheck] = [
    ConformanceCheck(
      handshake, "initialize", needs: [manifestName], limit: .seconds(60),
      demands:
        "The engine starts, and answers `initialize` within the manifest's clock with a result of the right shape."
    ) { bench in
      let engine = try bench.ready()
      do {
        _ = try InitializeResult(engine.greeting ?? .null)
      } catch {
        throw ConformanceFault(
          expected: "a result of initialize with protocolVersion, engine, features and concurrency",
          got: "\(error) in \(Evidence.text(engine.greeting ?? .null))",
          advice: "give the result the members and types of the table of initialize")
      }
    },
    ConformanceCheck(
      "version", "initialize", demands: "The agreed version is one that the host offered and the manifest names."
    ) { bench in
      let version = try bench.ready().greeting?["protocolVersion"]?.int
      guard let version, Method.protocolVersions.contains(Int(version)),
        bench.manifest.protocolVersions.contains(Int(version))
      else {
        throw ConformanceFault(
          expected: "protocolVersion 1", got: version.map { "protocolVersion \($0)" } ?? "none",
          advice: "answer with the greatest version that both sides have")
      }
    },
    ConformanceCheck(
      "version-choice", "initialize",
      demands: "Offered a version of the future as well, the engine picks the one that it has."
    ) { bench in
      let engine = try bench.spawn()
      let result = try bench.greet(engine, bench.offer(["protocolVersions": [99, 1]]))
      guard result["protocolVersion"]?.int == 1 else {
        throw ConformanceFault(
          expected: "protocolVersion 1 when the host offers [99, 1]", got: Evidence.text(result),
          advice: "pick the greatest of the versions that you speak yourself, not the first of the list")
      }
    },
    ConformanceCheck(
      "version-none", "initialize",
      demands:
        "Offered only versions that it does not speak, the engine answers with the error -32005 and does not hang."
    ) { bench in
      let engine = try bench.spawn()
      let id = engine.request(Method.initialize, bench.offer(["protocolVersions": [98, 99]]))
      let answer = try engine.answer(id, to: "initialize", within: bench.manifest.timeouts.initialize)
      let advice =
        "answer with -32005, and name the versions that you speak; the host disables the plugin with both lists"
      switch answer {
      case .result(let result):
        throw ConformanceFault(
          expected: "the error -32005 when the host offers [98, 99]", got: Evidence.text(result), advice: advice)
      case .failure(let error):
        guard error.failureClass == .unsupported else {
          throw ConformanceFault(
            expected: "the error -32005 with the class unsupported", got: Evidence.text(error.json), advice: advice)
        }
        if !error.message.contains("1") {
          bench.warn(
            expected: "a message that names the versions that the engine speaks", got: error.message, advice: advice)
        }
      }
    },
    ConformanceCheck(
      "engine-name", "initialize", demands: "The engine says its name and its version."
    ) { bench in
      let said = try bench.ready().greeting?["engine"]
      guard let name = said?["name"]?.string, !name.isEmpty, let version = said?["version"]?.string, !version.isEmpty
      else {
        throw ConformanceFault(
          expected: "engine with name and version", got: Evidence.text(said ?? .null),
          advice: "say both: they stand in `stoker status` and in the log")
      }
    },
    ConformanceCheck(
      "features", "initialize", demands: "The engine names only features that the host offered."
    ) { bench in
      let named = try bench.ready().greeting?["features"]?.array?.compactMap(\.string)
      guard let named else {
        throw ConformanceFault(
          expected: "features, a list of strings", got: "none", advice: "answer [] when the engine uses no feature")
      }
      let offered = Feature.allCases.map(\.rawValue)
      if let stranger = named.first(where: { !offered.contains($0) }) {
        throw ConformanceFault(
          expected: "features out of \(offered.joined(separator: ", "))", got: stranger,
          advice: "answer with those of the offered features that the engine uses")
      }
      let declared = bench.manifest.features + [Feature.contentFiles.rawValue]
      for name in named where !declared.contains(name) {
        bench.warn(
          expected: "features that the manifest names", got: "\(name) is not in plugin.yaml",
          advice: "add it to the manifest: the host plans by what stands there")
      }
      for name in bench.manifest.features where !named.contains(name) {
        bench.warn(
          expected: "the features that the manifest names", got: "\(name) is missing in the answer",
          advice: "name it in the answer to initialize, or take it out of plugin.yaml")
      }
    },
    ConformanceCheck(
      "features-unoffered", "initialize", needs: [handshake], limit: .seconds(30),
      demands: "Offered no features, the engine names none and works without them."
    ) { bench in
      let engine = try bench.fresh(bench.offer(["features": []]))
      let named = engine.greeting?["features"]?.array?.compactMap(\.string) ?? []
      guard named.isEmpty else {
        throw ConformanceFault(
          expected: "features [] when the host offers none", got: named.joined(separator: ", "),
          advice: "answer with what is in both lists: yours and the host's")
      }
      try engine.settle("a ping without features")
    },
    ConformanceCheck(
      "concurrency", "initialize", demands: "The engine takes from 1 to as many jobs at a time as the manifest says."
    ) { bench in
      let most = bench.manifest.concurrency
      guard let said = try bench.ready().greeting?["concurrency"]?.int, said >= 1, said <= most else {
        let said = try bench.ready().greeting?["concurrency"]
        throw ConformanceFault(
          expected: "concurrency from 1 to \(most)", got: said.map { Evidence.text($0) } ?? "none",
          advice: "answer with the manifest's number, or raise that one")
      }
    },
    ConformanceCheck(
      "models", "initialize", demands: "Models in the answer narrow those of the manifest, and do not widen them."
    ) { bench in
      guard let value = try bench.ready().greeting?["models"] else { return }
      let served = bench.manifest.serves.flatMap(\.models)
      guard let named = value.array, named.allSatisfy({ $0.string != nil }) else {
        throw ConformanceFault(
          expected: "models, a list of strings", got: Evidence.text(value),
          advice: "leave it out, or list ids and globs")
      }
      for name in named.compactMap(\.string) where !served.contains(where: { $0.text == name || $0.matches(name) }) {
        throw ConformanceFault(
          expected: "models out of \(served.map(\.text).joined(separator: ", "))", got: name,
          advice: "add the model to the manifest, or leave it out of the answer")
      }
    },
    ConformanceCheck(
      "line-limit", "initialize", demands: "A line cap that the engine asks for is from 1 MiB to what the host offered."
    ) { bench in
      guard let value = try bench.ready().greeting?["limits"]?["lineBytes"] else { return }
      let range = LineFramer.defaultLineBytes...LineFramer.maximumLineBytes
      guard let bytes = value.int, range.contains(Int(bytes)) else {
        throw ConformanceFault(
          expected: "lineBytes from \(range.lowerBound) to \(range.upperBound)", got: Evidence.text(value),
          advice: "leave limits out, or answer with a number that the host offered")
      }
    },
  ]
}

extension ConformanceBench {
  /// The params of `initialize` with some members changed.
  func offer(_ changes: [String: JSONValue]) -> JSONValue {
    .object((setup.initialize.object ?? [:]).merging(changes) { $1 })
  }
}
