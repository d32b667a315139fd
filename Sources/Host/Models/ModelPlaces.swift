import Glibc

/// Where a model's files, locks and records lie.
struct ModelPlaces: Sendable {
  /// The models directory, absolute.
  let root: String

  init(root: String) {
    let absolute = root.hasPrefix("/") ? root : FileFault.workingDirectory + "/" + root
    self.root = absolute.count > 1 && absolute.hasSuffix("/") ? String(absolute.dropLast()) : absolute
  }

  func directory(_ entry: ModelEntry) -> String { "\(root)/\(ModelNames.onDisk(entry.id))" }

  func path(_ file: CatalogueFile, _ entry: ModelEntry) -> String {
    if case .path(let path) = file.source { return path }
    return "\(directory(entry))/\(ModelNames.onDisk(file.filename))"
  }

  func part(_ file: CatalogueFile, _ entry: ModelEntry) -> String { path(file, entry) + ".part" }

  func path(_ target: FetchPlan.Target, _ entry: ModelEntry) -> String { "\(directory(entry))/\(target.path)" }

  /// Where pieces lie until the file is made of them.
  func pieces(_ entry: ModelEntry) -> String { "\(directory(entry))/\(FetchPlan.piecesDirectory)" }

  /// The file whose lock stands for the model: one of its own for stored models, else its first file.
  func lock(_ entry: ModelEntry) -> (path: String, isStored: Bool) {
    if entry.files.contains(where: { $0.source.isStored }) { return (directory(entry) + "/.lock", true) }
    return (entry.files.first.map { path($0, entry) } ?? root, false)
  }

  /// Makes the models directory and the model's own; neither the latter nor anything in it may be a link.
  func makeDirectory(_ entry: ModelEntry) throws(ModelError) {
    var path = ""
    // A parent that is there may refuse all the same; one that is not is the reason when the last step fails.
    var refusal: ModelError?
    for part in root.split(separator: "/") {
      path += "/\(part)"
      if mkdir(path, 0o755) == 0 || errno == EEXIST { continue }
      let mayExist = errno == EROFS || errno == EACCES
      let error = FileFault.error("make the directory", path)
      guard mayExist else { throw error }
      refusal = refusal ?? error
    }
    try makeOne(directory(entry), because: refusal)
  }

  /// Makes the directory of pieces; `makeDirectory` comes first.
  func makePieces(_ entry: ModelEntry) throws(ModelError) { try makeOne(pieces(entry), because: nil) }

  private func makeOne(_ own: String, because refusal: ModelError?) throws(ModelError) {
    guard mkdir(own, 0o755) == 0 || errno == EEXIST else {
      let isParentMissing = errno == ENOENT
      let error = FileFault.error("make the directory", own)
      throw isParentMissing ? refusal ?? error : error
    }
    switch try FileStamp.look(own, followLinks: false) {
    case .other("a directory"): return
    case .other(let what): throw ModelError(.fileSystem, "\(own) is \(what), not a directory; move it out of the way")
    case .file: throw ModelError(.fileSystem, "\(own) is a file, not a directory; move it out of the way")
    case .absent: throw ModelError(.fileSystem, "\(own) vanished while it was made; try again")
    }
  }
}
