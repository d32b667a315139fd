import PluginProtocol

extension ModelCatalogue {
  /// Reads the operator's `models.yaml` and merges it over the built-in entries.
  ///
  /// A file that does not exist is an empty one. Paths in it are relative to its directory; `~/` is the home directory
  /// in `environment`.
  ///
  /// - Throws: `YAMLError` or `SourceDiagnostics`, each with file, line and column.
  package static func load(
    operatorFile path: String, builtIn: [ModelEntry] = BuiltInModels.entries, environment: [String: String]
  ) throws -> ModelCatalogue {
    guard case .file = try FileStamp.look(path, followLinks: true) else {
      if case .absent = try FileStamp.look(path, followLinks: true) { return try ModelCatalogue(builtIn: builtIn) }
      _ = try YAMLNode(contentsOf: path, named: path, limits: .configuration)
      return try ModelCatalogue(builtIn: builtIn)
    }
    let node = try YAMLNode(contentsOf: path, named: path, limits: .configuration)
    let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let reader = ModelEntryReader(
      collector: DiagnosticCollector(file: path),
      sources: ModelFileReader(directory: directory, home: environment["HOME"]))
    let own = reader.entries(of: node, builtIn: builtIn)
    _ = try reader.collector.finish()
    return try ModelCatalogue(builtIn: builtIn, operatorEntries: own)
  }
}

/// Turns the mappings of `models.yaml` into entries, collecting every mistake.
private struct ModelEntryReader {
  let collector: DiagnosticCollector
  let sources: ModelFileReader

  func entries(of node: YAMLNode, builtIn: [ModelEntry]) -> [ModelEntry] {
    if node.isNull { return [] }
    var directories: [String: String] = [:]
    for entry in builtIn { directories[ModelNames.onDisk(entry.id)] = entry.id }
    var seen: Set<String> = []
    let read = collector.fields(node, path: "") { top in
      top.require("models", "[]")
      return top.mappings("models") { fields -> ModelEntry? in
        guard let entry = entry(fields) else { return nil }
        if let problem = ModelNames.problem(withID: entry.id) {
          fields.error("id", problem)
        } else if !seen.insert(entry.id).inserted {
          fields.error("id", "\(entry.id) is declared twice; remove one")
        } else if let other = directories.updateValue(entry.id, forKey: ModelNames.onDisk(entry.id)), other != entry.id
        {
          fields.error("id", "\(entry.id) would lie in the same directory as \(other); rename it")
        } else if !entry.files.isEmpty, let problem = ModelNames.problem(with: entry) {
          fields.error("files", problem)
        }
        return entry
      }
    }
    return (read ?? nil)?.compactMap { $0 } ?? []
  }

  private func entry(_ fields: YAMLFields) -> ModelEntry? {
    for (key, example) in [("id", "my-model"), ("kind", "llm"), ("engine", "llama-cpp"), ("files", "[...]")] {
      fields.require(key, example)
    }
    let id = fields.string("id")
    let kind = fields.choice("kind", JobKind.self)
    let engine = fields.string("engine")
    if engine?.isEmpty == true { fields.error("engine", "must not be empty; name the engine that reads the files") }
    let source = fields.string("source")
    let license = fields.string("license")
    let files = fields.mappings("files") { sources.file($0) }
    if files?.isEmpty == true { fields.error("files", "must not be empty; list at least one file") }
    let options = fields.node("options")
    if let options, options.mapping == nil { fields.error("options", "must be a mapping of names to values") }
    guard let id, let kind, let engine, let files else { return nil }
    return ModelEntry(
      id: id, kind: kind, engine: engine, source: source, license: license, files: files.compactMap { $0 },
      options: options?.json ?? [:])
  }
}
