import Crypto
import Glibc
import PluginProtocol
import Synchronization

/// Files that clients send over the control socket before they submit the job that needs them.
///
/// An upload belongs to the connection that began it until `input/end`, and goes with it. After that it waits for a job, at
/// most `uploadLifetime`. Parts go straight to disk: memory stays flat whatever the size.
package final class UploadDesk: Sendable {
  /// Most bytes of one part.
  package static let partBytes = 192 << 10

  private struct Upload {
    /// nil once the upload is complete.
    var owner: ControlConnectionID?
    /// Open while parts come.
    var descriptor: Int32
    /// nil before the first part, which may be numbered 0 or 1.
    var lastSeq: Int?
    var bytes: Int64 = 0
    var hash = SHA256()
    /// Of the complete upload.
    var digest = ""
    var touched: MonotonicInstant
  }

  private struct State {
    var uploads: [String: Upload] = [:]
    /// Uploads that a call is at work on: nobody else may touch them.
    var busy: Set<String> = []
  }

  private let state = Mutex(State())
  private let directory: String
  private let settings: InputSettings
  private let clock: any HostClock

  /// Empties the directory: uploads do not survive the host.
  init(directory: String, settings: InputSettings, clock: any HostClock) throws(JobStoreError) {
    self.directory = directory
    self.settings = settings
    self.clock = clock
    FileTree.remove(directory)
    try StoreFiles.makeDirectory(directory)
  }

  deinit {
    state.withLock { for upload in $0.uploads.values where upload.descriptor >= 0 { close(upload.descriptor) } }
  }

  private func path(_ id: String) -> String { "\(directory)/\(id)" }

  /// Uploads that no job has claimed.
  package var count: Int { state.withLock { $0.uploads.count + $0.busy.count } }

  // MARK: Calls of the control socket

  /// Answers `input/begin`, `input/data` and `input/end`.
  ///
  /// - Throws: `RPCError` of the control socket's classes, `FieldError`.
  package func answer(
    _ method: String, _ params: JSONValue, connection: ControlConnectionID
  ) async throws -> JSONValue {
    let fields = try FieldReader(params)
    do {
      switch method {
      case "input/begin": return ["upload": .string(try await begin(connection))]
      case "input/data":
        let id = try fields.requiredString("upload")
        let seq = try fields.requiredInt("seq")
        let text = try fields.requiredString("data")
        try await append(id, seq: seq, text, connection)
        return [:]
      default:
        let id = try fields.requiredString("upload")
        try await end(id, connection)
        return ["url": .string("upload:\(id)")]
      }
    } catch let failure as InputFailure {
      throw failure.controlError
    }
  }

  private func begin(_ connection: ControlConnectionID) async throws -> String {
    expire()
    var generator = SystemRandomNumberGenerator()
    let id = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }.hexText
    let hasRoom = state.withLock { state in
      guard state.uploads.count + state.busy.count < settings.maxUploads else { return false }
      state.busy.insert(id)
      return true
    }
    guard hasRoom else {
      throw RPCError(
        control: .busy, "\(settings.maxUploads) uploads wait for their jobs, which is the limit: submit or try later")
    }
    do {
      try FileCopy.checkSpace(directory, needed: Int64(Self.partBytes), floor: settings.keepFree)
      let descriptor = open(path(id), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw InputFailure(errno, doing: "beginning an upload") }
      put(id, Upload(owner: connection, descriptor: descriptor, touched: clock.now()))
      return id
    } catch {
      state.withLock { _ = $0.busy.remove(id) }
      throw error
    }
  }

  private func append(_ id: String, seq: Int, _ text: String, _ connection: ControlConnectionID) async throws {
    var upload = try take(id, connection)
    do {
      guard upload.lastSeq.map({ seq == $0 + 1 }) ?? (seq == 0 || seq == 1) else {
        throw InputFailure(
          .badInput,
          "part \(seq) does not follow part \(upload.lastSeq.map(String.init) ?? "none"): begin the upload anew")
      }
      guard text.utf8.count <= Self.partBytes / 3 * 4 + 4, let bytes = Base64.decode(Array(text.utf8)),
        bytes.count <= Self.partBytes
      else {
        throw InputFailure(.badInput, "data must be base64 of at most \(Self.partBytes) bytes")
      }
      guard upload.bytes + Int64(bytes.count) <= settings.maxInputBytes else {
        throw InputFailure(
          .badInput, "the upload has more than \(settings.maxInputBytes) bytes, which is what one may have")
      }
      let stride = Int64(FileCopy.stride)
      if upload.bytes / stride != (upload.bytes + Int64(bytes.count)) / stride {
        try FileCopy.checkSpace(directory, needed: stride, floor: settings.keepFree)
      }
      let descriptor = upload.descriptor
      // The page cache takes it; a disk that is slow to take it from there must not hold up a shared thread.
      try await onBlockingThread { _ in
        try FileCopy.write(bytes, to: descriptor)
      }
      upload.hash.update(data: bytes)
      upload.bytes += Int64(bytes.count)
      upload.lastSeq = seq
      upload.touched = clock.now()
      put(id, upload)
    } catch {
      drop(id, upload)
      throw error is InputFailure || error is RPCError ? error : InputFailure(error)
    }
  }

  private func end(_ id: String, _ connection: ControlConnectionID) async throws {
    var upload = try take(id, connection)
    let descriptor = upload.descriptor
    do {
      try await onBlockingThread { _ in
        guard fsync(descriptor) == 0 else { throw InputFailure(errno, doing: "writing an upload to disk") }
      }
    } catch {
      drop(id, upload)
      throw InputFailure(error)
    }
    close(descriptor)
    upload.descriptor = -1
    upload.owner = nil
    upload.digest = upload.hash.finalize().hexText
    upload.touched = clock.now()
    put(id, upload)
  }

  // MARK: Ends

  /// The connection is gone: what it had not ended goes too.
  package func ended(_ connection: ControlConnectionID) {
    remove { $0.owner == connection }
  }

  /// Removes what nobody has touched for too long. Returns when to look again; nil when there is nothing to wait for.
  @discardableResult
  package func expire() -> Duration? {
    let now = clock.now()
    let lifetime = settings.uploadLifetime
    remove { $0.touched.duration(to: now) >= lifetime }
    let oldest = state.withLock { $0.uploads.values.map(\.touched).min() }
    return oldest.map { max(.milliseconds(1), lifetime - $0.duration(to: now)) }
  }

  private func remove(where matches: (Upload) -> Bool) {
    let removed = state.withLock { state in
      let removed = state.uploads.filter { matches($0.value) }
      for id in removed.keys { state.uploads[id] = nil }
      return removed
    }
    for (id, upload) in removed { discard(id, upload) }
  }

  // MARK: Claims

  /// Moves a finished upload's file to `target`, and returns the SHA-256 of its bytes. The upload is then gone.
  func claim(_ id: String, to target: String, field: String, limit: Int64) throws(InputFailure) -> String {
    let upload = try takeFinished(id, field: field)
    defer { state.withLock { _ = $0.busy.remove(id) } }
    guard upload.bytes <= limit else {
      unlink(path(id))
      throw InputFailure(.badInput, "\(field) has \(upload.bytes) bytes and \(limit) are allowed for this input")
    }
    guard rename(path(id), target) == 0 else { throw InputFailure(errno, doing: "taking an upload") }
    return upload.digest
  }

  /// The bytes of a finished upload, which is then gone.
  ///
  /// - Parameter name: the upload's id or its `upload:` URL.
  func contents(_ name: String, limit: Int) throws -> [UInt8] {
    let id = name.hasPrefix("upload:") ? String(name.dropFirst("upload:".count)) : name
    let upload = try takeFinished(id, field: "taskUpload")
    defer {
      unlink(path(id))
      state.withLock { _ = $0.busy.remove(id) }
    }
    guard upload.bytes <= Int64(limit) else {
      throw InputFailure(.badInput, "the uploaded task has \(upload.bytes) bytes and \(limit) are allowed")
    }
    let (descriptor, status) = try FileCopy.openRegular(path(id), name: "taskUpload")
    defer { close(descriptor) }
    return try FileCopy.contents(descriptor, status, limit: limit, name: "taskUpload")
  }

  private func takeFinished(_ id: String, field: String) throws(InputFailure) -> Upload {
    let upload: Upload? = state.withLock { state in
      guard let upload = state.uploads[id], upload.owner == nil else { return nil }
      state.uploads[id] = nil
      state.busy.insert(id)
      return upload
    }
    guard let upload else {
      throw InputFailure(
        .badInput, "\(field) names an upload that does not exist, is not complete, or was used before: upload it again")
    }
    return upload
  }

  /// Takes an upload in hand for one call.
  private func take(_ id: String, _ connection: ControlConnectionID) throws -> Upload {
    enum Finding {
      case upload(Upload)
      case busy
      case none
    }
    let finding: Finding = state.withLock { state in
      if state.busy.contains(id) { return .busy }
      guard let upload = state.uploads[id], upload.owner == connection else { return .none }
      state.uploads[id] = nil
      state.busy.insert(id)
      return .upload(upload)
    }
    switch finding {
    case .upload(let upload): return upload
    case .busy: throw RPCError(control: .conflict, "a part of this upload is being written: wait for its answer")
    case .none: throw RPCError(control: .notFound, "there is no such upload on this connection: begin it again")
    }
  }

  private func put(_ id: String, _ upload: Upload) {
    state.withLock { state in
      state.busy.remove(id)
      state.uploads[id] = upload
    }
  }

  private func drop(_ id: String, _ upload: Upload) {
    discard(id, upload)
    state.withLock { _ = $0.busy.remove(id) }
  }

  private func discard(_ id: String, _ upload: Upload) {
    if upload.descriptor >= 0 { close(upload.descriptor) }
    unlink(path(id))
  }
}
