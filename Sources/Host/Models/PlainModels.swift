import FoundationEssentials

/// GGUF files that somebody dropped into the models directory: each is a model for llama.cpp, named by its path there
/// with or without `.gguf`.
struct PlainModels {
  private static let depth = 3
  private static let limit = 1000
  private let places: ModelPlaces
  private let catalogue: ModelCatalogue

  init(_ places: ModelPlaces, _ catalogue: ModelCatalogue) {
    self.places = places
    self.catalogue = catalogue
  }

  /// The entry for a relative path or its stem, or nil when there is no such file.
  ///
  /// Hidden names, `..`, absolute paths, links and the directories of catalogue models lead nowhere: a job's model name
  /// must not reach a file that nobody put there for it.
  func entry(_ id: String) throws(ModelError) -> ModelEntry? {
    guard id.utf8.count <= ModelNames.longestID * 2 else { return nil }
    let parts = id.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= Self.depth, parts.allSatisfy(isPlain), !isCatalogued(parts[0]) else { return nil }
    for name in id.hasSuffix(".gguf") ? [id] : [id + ".gguf"] {
      guard hasNoLinks(name), case .file = try FileStamp.look("\(places.root)/\(name)", followLinks: false) else {
        continue
      }
      return entry(file: name)
    }
    return nil
  }

  /// Every plain model, by its path with `.gguf`; at most a thousand.
  func list() -> [ModelEntry] {
    var found: [ModelEntry] = []
    collect("", depth: 1, into: &found)
    return found
  }

  private func collect(_ prefix: String, depth: Int, into found: inout [ModelEntry]) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(places.root)/\(prefix)")) ?? []
    for name in names.sorted() where isPlain(name) && found.count < Self.limit {
      let path = prefix + name
      switch try? FileStamp.look("\(places.root)/\(path)", followLinks: false) {
      case .file? where name.hasSuffix(".gguf"): found.append(entry(file: path))
      case .other("a directory")? where depth < Self.depth && !(depth == 1 && isCatalogued(name)):
        collect(path + "/", depth: depth + 1, into: &found)
      default: break
      }
    }
  }

  private func entry(file: String) -> ModelEntry {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    return ModelEntry(
      id: file, kind: .llm, engine: "llama-cpp",
      files: [CatalogueFile(role: "model", source: .path("\(places.root)/\(file)"), filename: name)])
  }

  /// True for an entry of this kind, and for one of models.yaml that says the same.
  static func isPlain(_ entry: ModelEntry, _ places: ModelPlaces) -> Bool {
    guard entry.engine == "llama-cpp", entry.files.count == 1, case .path(let path) = entry.files[0].source else {
      return false
    }
    return path == "\(places.root)/\(entry.id)"
  }

  private func isPlain(_ name: String) -> Bool {
    !name.hasPrefix(".") && ModelNames.problem(withFilename: name) == nil
  }

  private func isCatalogued(_ directory: String) -> Bool {
    catalogue.entries.contains { ModelNames.onDisk($0.id) == directory }
  }

  private func hasNoLinks(_ path: String) -> Bool {
    var walked = places.root
    for part in path.split(separator: "/").dropLast() {
      walked += "/\(part)"
      guard case .other("a directory")? = try? FileStamp.look(walked, followLinks: false) else { return false }
    }
    return true
  }
}
