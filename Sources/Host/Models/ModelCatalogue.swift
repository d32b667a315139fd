/// Every model entry this host knows: the built-in ones, and the operator's, which replace built-in ones of the same id.
package struct ModelCatalogue: Sendable {
  /// Sorted by id.
  package let entries: [ModelEntry]
  private let byID: [String: ModelEntry]

  /// Merges the operator's entries over the built-in ones.
  ///
  /// - Throws: `ModelError` of kind `badEntry` when an entry cannot be used, an id occurs twice among the operator's,
  ///   or two ids would lie in one directory.
  package init(builtIn: [ModelEntry] = BuiltInModels.entries, operatorEntries: [ModelEntry] = []) throws(ModelError) {
    var merged: [String: ModelEntry] = [:]
    for entry in builtIn { merged[entry.id] = entry }
    var own: Set<String> = []
    for entry in operatorEntries {
      guard own.insert(entry.id).inserted else {
        throw ModelError(.badEntry, "the model id \(entry.id.quotedForMessage) is declared twice")
      }
      merged[entry.id] = entry
    }
    var directories: [String: String] = [:]
    for entry in merged.values.sorted(by: { $0.id < $1.id }) {
      if let problem = ModelNames.problem(with: entry) { throw ModelError(.badEntry, problem) }
      if let other = directories.updateValue(entry.id, forKey: ModelNames.onDisk(entry.id)) {
        throw ModelError(
          .badEntry, "the models \(other) and \(entry.id) would lie in one directory; rename one of them")
      }
    }
    byID = merged
    entries = merged.values.sorted { $0.id < $1.id }
  }

  /// Paths of files of certain models that lie where the operator keeps them.
  package func externalFiles(_ isWanted: (ModelEntry) -> Bool) -> [String] {
    entries.filter(isWanted).flatMap(\.files).compactMap { if case .path(let path) = $0.source { path } else { nil } }
  }

  /// The entry of that id, or nil.
  package func entry(_ id: String) -> ModelEntry? { byID[id] }

  /// The model to fetch for somebody who only names a kind: the built-in default, or the only entry of the kind.
  ///
  /// - Throws: `ModelError` of kind `noDefault`, with what there is to choose from.
  package func defaultEntry(for kind: JobKind) throws(ModelError) -> ModelEntry {
    if let id = BuiltInModels.defaultID(for: kind), let entry = byID[id], entry.kind == kind { return entry }
    let known = entries.filter { $0.kind == kind }
    if known.count == 1 { return known[0] }
    let remedy =
      known.isEmpty
      ? "add one to models.yaml, or use an engine that needs none"
      : "name one of \(known.map(\.id).joined(separator: ", "))"
    throw ModelError(.noDefault, "no model is the default for \(kind.cliName); \(remedy)")
  }
}
