import PluginProtocol

/// Why nothing here can serve a request.
package struct RoutingRefusal: Error, Sendable, Equatable, CustomStringConvertible {
  /// `no_engine`, `bad_input` or `not_found`.
  package var errorClass: String
  /// One sentence: what is missing and what to do.
  package var description: String
}

/// Where a job can go: the model's full id and files, and the plugins that serve it, best first.
package struct Route: Sendable, Equatable {
  package var lane: JobLane
  package var plugins: [String]
  package var model: ModelReference
  /// Bytes of the model's files; 0 for models that live in the engine itself.
  package var fileBytes: Int64 = 0
}

/// Decides which plugins serve a kind and model. Never falls back to another model or engine.
package struct ModelRouter: Sendable {
  /// Plugins in order of precedence; only those that are in service.
  package var plugins: [PluginManifest]
  /// Plugins that are known but out of service, and why.
  package var unavailable: [(manifest: PluginManifest, reason: String)]
  private let models: ModelStore

  package init(plugins: [PluginManifest], unavailable: [(manifest: PluginManifest, reason: String)], models: ModelStore)
  {
    self.plugins = plugins
    self.unavailable = unavailable
    self.models = models
  }

  /// The synthetic engine is for tests: it serves only who asks for it by name.
  static let syntheticPrefix = "synthetic"

  /// Whether a plugin serves a model, given the engine that the catalogue names for it.
  package static func serves(_ manifest: PluginManifest, _ kind: JobKind, _ model: String, engine: String?) -> Bool {
    manifest.serves.contains { service in
      guard service.kind == kind else { return false }
      if let engine, service.modelEngine == engine { return true }
      return engine == nil || service.modelEngine == nil ? service.serves(model) : false
    }
  }

  /// Finds the route of a request.
  package func route(kind: JobKind, model: String?) async throws -> Route {
    let model = try model ?? defaultModel(kind)
    let resolved = await resolve(kind, model)
    let engine: String? = if case .success(let found) = resolved { found.engine } else { nil }
    let serving = plugins.filter { ModelRouter.serves($0, kind, model, engine: engine) }
    guard !serving.isEmpty else { throw refusal(kind, model, engine: engine, resolved) }
    switch resolved {
    case .success(let found):
      // By its full id: a plain file may be asked for without `.gguf`, but plugins' patterns know only whole names.
      return Route(
        lane: JobLane(kind: kind, model: found.reference.id), plugins: serving.map(\.name), model: found.reference,
        fileBytes: found.bytes)
    case .failure(let error):
      // Models that live in the engine itself need no files: those of engines that load none, or that name no model engine.
      let own = serving.filter { manifest in
        let loadsModels = manifest.features.contains(Feature.modelResidency.rawValue)
        return manifest.serves.contains {
          $0.kind == kind && ($0.modelEngine == nil || !loadsModels) && $0.serves(model)
        }
      }
      guard !own.isEmpty else { throw error }
      return Route(
        lane: JobLane(kind: kind, model: model), plugins: own.map(\.name), model: ModelReference(id: model))
    }
  }

  private func resolve(_ kind: JobKind, _ model: String) async -> Result<ResolvedModel, RoutingRefusal> {
    do {
      let found = try await models.resolve(model)
      guard found.kind == kind else {
        return .failure(
          RoutingRefusal(
            errorClass: "bad_input",
            description: "model \(model) is for \(found.kind.cliName) jobs, not for \(kind.cliName)"))
      }
      return .success(found)
    } catch {
      return .failure(RoutingRefusal(errorClass: "no_engine", description: "\(error)"))
    }
  }

  /// The model of a job that names none: the only one that could be meant.
  private func defaultModel(_ kind: JobKind) throws -> String {
    let serving = plugins.filter { manifest in
      manifest.serves.contains { service in
        service.kind == kind && !service.models.allSatisfy { $0.text.hasPrefix(ModelRouter.syntheticPrefix) }
      }
    }
    guard !serving.isEmpty else { throw nobody(kind) }
    let services = serving.flatMap { $0.serves.filter { $0.kind == kind } }
    let literal = services.flatMap(\.models).filter(\.isExact).map(\.text)
    let engines = Set(services.compactMap(\.modelEngine))
    let known = models.list().filter { $0.kind == kind && engines.contains($0.engine) }
    // What was copied here is checked when it is used.
    let here = known.filter { $0.state == .ready || $0.state == .unverified }.map(\.id)
    let candidates = literal + here
    if candidates.count == 1, let only = candidates.first { return only }
    if candidates.isEmpty {
      let hint =
        known.isEmpty
        ? "none is known either: add one to models.yaml, and see `stoker models list`"
        : "fetch one with `stoker models pull --for \(kind.cliName)`"
      throw RoutingRefusal(
        errorClass: "no_engine", description: "no model for \(kind.cliName) is on this machine: \(hint)")
    }
    throw RoutingRefusal(
      errorClass: "bad_input",
      description: "several models serve \(kind.cliName): name one with --model: \(candidates.joined(separator: ", "))")
  }

  private func nobody(_ kind: JobKind) -> RoutingRefusal {
    let out = unavailable.filter { $0.manifest.serves.contains { $0.kind == kind } }
    guard let first = out.first else {
      return RoutingRefusal(
        errorClass: "no_engine",
        description: "no plugin here serves \(kind.cliName) jobs; see `stoker plugins list`")
    }
    return RoutingRefusal(
      errorClass: "no_engine",
      description: "plugin \(first.manifest.name) serves \(kind.cliName) jobs but is out of service: \(first.reason)")
  }

  private func refusal(
    _ kind: JobKind, _ model: String, engine: String?, _ resolved: Result<ResolvedModel, RoutingRefusal>
  ) -> RoutingRefusal {
    if let out = unavailable.first(where: { ModelRouter.serves($0.manifest, kind, model, engine: engine) }) {
      return RoutingRefusal(
        errorClass: "no_engine",
        description: "plugin \(out.manifest.name) serves \(model) but is out of service: \(out.reason)")
    }
    if case .failure(let error) = resolved, error.errorClass == "bad_input" { return error }
    if !plugins.contains(where: { $0.serves.contains { $0.kind == kind } }) { return nobody(kind) }
    if let engine {
      return RoutingRefusal(
        errorClass: "no_engine",
        description: "model \(model) needs an engine of type \(engine), and no plugin here is one")
    }
    if case .failure(let error) = resolved {
      return RoutingRefusal(
        errorClass: "no_engine",
        description: "no plugin here serves \(kind.cliName) model \(model): \(error.description)")
    }
    return RoutingRefusal(errorClass: "no_engine", description: "no plugin here serves \(kind.cliName) model \(model)")
  }
}
