import Glibc
import PluginProtocol

extension InputStage {
  /// Takes a job in with its inputs. When this returns, both survive power loss, and the user's own files are not needed
  /// any more.
  ///
  /// URLs of a coordinator's job may be `https:` and `data:` only, those of a local one also `file:` and `upload:`.
  ///
  /// - Throws: `RPCError` of the control socket's classes: `bad_input`, which names the field, or `resource` when the disk
  ///   is full, and what the store refuses. Nothing of the job is then left; uploads that it named are gone.
  package func submit(_ request: JobRequest, id: JobID? = nil) async throws(RPCError) -> SubmitResult {
    let id = id ?? store.newID()
    let staged: JobRequest
    do {
      staged = try await stage(request, id)
    } catch {
      await store.artifacts.removeInputs(of: id)
      throw error.controlError
    }
    do {
      let result = try await store.submit(staged, id: id)
      if case .existing = result { await store.artifacts.removeInputs(of: id) }
      return result
    } catch {
      await store.artifacts.removeInputs(of: id)
      throw RPCError(error)
    }
  }

  /// The task of a submission: its `task`, or the upload that `taskUpload` names (its id, or its `upload:` URL).
  ///
  /// - Throws: `RPCError` of class `bad_input`; `FieldError`.
  package func task(of fields: FieldReader) async throws -> JSONValue {
    let inline = try fields.object("task")
    guard let name = try fields.string("taskUpload") else { return inline ?? [:] }
    guard inline == nil else {
      throw RPCError(control: .badInput, "task and taskUpload exclude each other: send one of them")
    }
    let (uploads, limit) = (uploads, settings.maxTaskBytes)
    do {
      return try await blocking { _ in
        let bytes = try uploads.contents(name, limit: limit)
        do {
          let task = try JSONValue(parsing: bytes, limits: ContentLimits.fileJSON)
          guard task.object != nil else {
            throw InputFailure(.badInput, "the uploaded task must be an object, not \(task.typeName)")
          }
          return task
        } catch let error as JSONParseError {
          throw InputFailure(.badInput, "the uploaded task is no JSON: \(error)")
        }
      }
    } catch {
      throw error.controlError
    }
  }

  // MARK: Inside

  /// The request as the store is to keep it.
  private func stage(_ request: JobRequest, _ id: JobID) async throws(InputFailure) -> JobRequest {
    guard case .object(let members) = request.task else { return request }
    if let odd = members.keys.first(where: { $0.hasPrefix(InputSource.stagedPrefix) }) {
      throw InputFailure(.badInput, "task.\(odd.prefix(64)) has a name that the worker keeps for itself")
    }
    let origin = InputOrigin(coordinator: request.coordinator)
    var local: [(InputSlot, InputSource)] = []
    let slots = try InputSlot.all(in: request.task, limit: settings.maxURLs)
    // Before any of it is decoded.
    try checkTask(bytes: slots.reduce(0) { $0 + $1.url.utf8.count })
    for slot in slots {
      let source = try InputSource(slot, from: origin)
      if case .remote = source { continue }
      local.append((slot, source))
    }
    let isLarge = local.isEmpty && request.task.bytes.count > store.options.maxInlineBytes
    guard !local.isEmpty || isLarge else { return request }
    let found = local
    return try await blocking { [self] cancel in
      try place(request, found, id, cancel)
    }
  }

  private func place(
    _ request: JobRequest, _ sources: [(InputSlot, InputSource)], _ id: JobID, _ cancel: CancelSignal
  ) throws -> JobRequest {
    let directory = try store.artifacts.makeInputDirectory(id)
    var request = request
    var used: Int64 = 0
    var marks: [(InputSlot, String)] = []
    var identities: [(InputSlot, String)] = []
    for (slot, source) in sources {
      let target = directory + "/" + slot.name
      let quota = limit(used: used)
      switch source {
      case .path(let path): try copy(path, to: target, slot, limit: quota, cancel)
      case .data(let url):
        guard url.bytes.count <= quota else { throw tooLarge(slot, quota) }
        try FileCopy.checkSpace(directory, needed: Int64(url.bytes.count), floor: settings.keepFree)
        try FileCopy.create(target, durable: true) { descriptor in
          try FileCopy.write(url.bytes, to: descriptor)
        }
      case .upload(let upload):
        let digest = try uploads.claim(upload, to: target, field: slot.field, limit: quota)
        // Another upload of the same bytes is the same request.
        identities.append((slot, "sha256:" + digest))
      case .remote, .staged: continue
      }
      used += FileCopy.size(path: target) ?? 0
      marks.append((slot, InputSource.stagedPrefix + FileHash.hex(ofText: slot.url)))
    }
    if !identities.isEmpty { request.identity = InputSlot.replace(identities, in: request.task) }
    let original = request.task
    request.task = InputSlot.replace(marks, in: request.task)
    let bytes = request.task.bytes
    // What was sent in data: URLs is part of the task, wherever it lies now.
    try checkTask(bytes: marks.reduce(bytes.count) { $0 + $1.0.url.utf8.count })
    if bytes.count > store.options.maxInlineBytes {
      try FileCopy.checkSpace(directory, needed: Int64(bytes.count), floor: settings.keepFree)
      try FileCopy.create(directory + "/" + Self.taskName, durable: true) { descriptor in
        try FileCopy.write(bytes, to: descriptor)
      }
      request.task = [InputSource.stagedTask: JSONValue(bytes.count)]
    }
    // Two requests are compared by what was sent, not by where it was put.
    if request.identity == nil { request.identity = original }
    try FileCopy.syncDirectory(directory)
    return request
  }

  private func copy(
    _ path: String, to target: String, _ slot: InputSlot, limit: Int64, _ cancel: CancelSignal
  ) throws {
    let (source, before) = try FileCopy.openRegular(path, name: slot.field)
    defer { close(source) }
    guard Int64(before.st_size) <= limit else { throw tooLarge(slot, limit) }
    let directory = store.artifacts.directory
    try FileCopy.checkSpace(directory, needed: Int64(before.st_size), floor: settings.keepFree)
    try FileCopy.create(target, durable: true) { descriptor in
      let copied = try FileCopy.copy(source, into: descriptor, limit: limit) { _ in
        try cancel.check()
        try FileCopy.checkSpace(directory, needed: 0, floor: settings.keepFree)
      }
      guard copied <= limit else { throw tooLarge(slot, limit) }
    }
    var after = stat()
    guard fstat(source, &after) == 0, after.st_size == before.st_size, after.st_mtim.tv_sec == before.st_mtim.tv_sec,
      after.st_mtim.tv_nsec == before.st_mtim.tv_nsec
    else {
      throw InputFailure(
        .badInput, "\(slot.field): \(path) changed while it was copied: submit again when it is complete")
    }
  }

  private func checkTask(bytes: Int) throws(InputFailure) {
    guard bytes <= settings.maxTaskBytes else {
      throw InputFailure(
        .badInput,
        "the task has \(bytes) bytes, its data: URLs included, and \(settings.maxTaskBytes) are allowed: "
          + "send content as inputs of another kind")
    }
  }

  private func tooLarge(_ slot: InputSlot, _ limit: Int64) -> InputFailure {
    InputFailure(.badInput, "\(slot.field) has more than \(limit) bytes, which is what this input may have")
  }
}
