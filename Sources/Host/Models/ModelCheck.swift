import Glibc

/// Compares one file of a model with its entry.
struct ModelCheck {
  enum Finding: Equatable {
    case absent
    case right
    /// The size is right, the content was not hashed since the file last changed.
    case unverified
    case wrong(String)
  }

  let entry: ModelEntry
  let places: ModelPlaces
  /// The entry was made up for a GGUF file that somebody put into the models directory.
  private let isPlain: Bool
  private(set) var record: VerifiedRecord
  private var isRecordChanged = false

  init(_ entry: ModelEntry, _ places: ModelPlaces) {
    self.entry = entry
    self.places = places
    isPlain = PlainModels.isPlain(entry, places)
    record = VerifiedRecord(directory: places.directory(entry))
  }

  /// Size, time and inode; of a plain file also its first bytes.
  func glance(_ file: CatalogueFile) throws(ModelError) -> (finding: Finding, stamp: FileStamp?) {
    let path = places.path(file, entry)
    let stamp: FileStamp
    switch try FileStamp.look(path, followLinks: !file.source.isStored) {
    case .absent: return (.absent, nil)
    case .other(let what): return (.wrong("\(path) is \(what), not a file"), nil)
    case .file(let found): stamp = found
    }
    if let bytes = file.bytes, bytes != stamp.size {
      return (.wrong("\(path) has \(stamp.size) bytes, not the declared \(bytes)"), stamp)
    }
    if let known = record.files[name(file)], known.stamp == stamp, known.sha256 == file.sha256 ?? known.sha256 {
      return (.right, stamp)
    }
    if isPlain, let problem = PlainModelFile.problem(path) { return (.wrong(problem), stamp) }
    // A file in place without a declared hash has nothing to be compared with.
    return (file.sha256 == nil && !file.source.isStored ? .right : .unverified, stamp)
  }

  /// Reads the content where that is needed.
  ///
  /// A file whose hash is not declared is compared with the one it had when it was downloaded.
  mutating func verify(
    _ file: CatalogueFile, deep: Bool, progress: (Int64, Int64) -> Void, cancel: CancelSignal
  ) throws -> Finding {
    let (finding, stamp) = try glance(file)
    let isComparable = file.sha256 != nil || file.source.isStored
    guard let stamp, isComparable, finding == .unverified || (finding == .right && deep) else { return finding }
    let path = places.path(file, entry)
    let (sha256, hashed) = try FileHash.of(
      path: path, followLinks: !file.source.isStored, progress: { progress($0, stamp.size) }, cancel: cancel)
    if let wanted = file.sha256 ?? record.files[name(file)]?.sha256, wanted != sha256 {
      return .wrong("the SHA-256 of \(path) is \(sha256), not \(wanted)")
    }
    note(file, stamp: hashed, sha256: sha256)
    return .right
  }

  mutating func note(_ file: CatalogueFile, stamp: FileStamp, sha256: String) {
    let now = VerifiedRecord.File(stamp: stamp, sha256: sha256)
    isRecordChanged = isRecordChanged || record.files[name(file)] != now
    record.files[name(file)] = now
  }

  /// Keeps what was found out. On a read-only disk nothing is kept, and the next check reads the content again.
  mutating func keep() throws(ModelError) {
    guard isRecordChanged else { return }
    do {
      try places.makeDirectory(entry)
      try record.write(directory: places.directory(entry))
    } catch  where error.kind == .fileSystem {
      return
    }
    isRecordChanged = false
  }

  private func name(_ file: CatalogueFile) -> String { ModelNames.onDisk(file.filename) }
}
