import Glibc
import PluginProtocol

/// A job's task as one attempt's engine is to see it.
package struct PreparedTask: Sendable, Equatable {
  /// Inputs are `file:` URLs of files in the work directory.
  package var task: JSONValue
  /// The file in the work directory that holds the task; nil when it goes with the message.
  package var taskFile: String?
  package var inputs: [String: [JobInput]]
}

extension InputStage {
  /// Fetches what is still remote, and puts a job's inputs into an attempt's work directory, under the names of their true
  /// types, mode 0600.
  ///
  /// - Parameters:
  ///   - workDirectory: of the attempt; exists.
  ///   - contentFiles: whether the engine reads a large task from a file.
  ///   - timeLimit: until the job's deadline; nil for none.
  ///   - progress: told of fetches, with the stage "fetching input".
  ///   - isCancelled: looked at ten times a second while a fetch runs.
  /// - Throws: `RPCError` of the engine protocol's classes: `bad_input`, `transient`, `resource`, or `cancelled`.
  package func prepare(
    _ id: JobID, workDirectory: String, contentFiles: Bool, attempt: Int, timeLimit: Duration? = nil,
    progress: @escaping @Sendable (JobProgress) -> Void = { _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) async throws(RPCError) -> PreparedTask {
    do {
      let stored = try await taskAndOrigin(id)
      let slots = try InputSlot.all(in: stored.task, limit: settings.maxURLs)
      let isLarge = stored.task.bytes.count > ContentLimits.inlineBytes
      guard !slots.isEmpty || isLarge && contentFiles else { return PreparedTask(task: stored.task, inputs: [:]) }
      let deadline = ContinuousClock.now.advanced(by: min(timeLimit ?? settings.totalTimeout, settings.totalTimeout))
      return try await blocking { [self] cancel in
        let checkCancelled = {
          try cancel.check()
          if isCancelled() { throw CancellationError() }
        }
        try fetch(slots, id, stored.origin, deadline: deadline, checkCancelled) { slot, bytes, total in
          progress(
            JobProgress(
              jobID: id.description, fraction: total.map { $0 > 0 ? Double(bytes) / Double($0) : 1 },
              stage: "fetching input", message: "\(slot.field): \(FileFault.size(bytes))"))
        }
        return try handOver(stored.task, slots, id, workDirectory, contentFiles: contentFiles, checkCancelled)
      }
    } catch let failure as InputFailure {
      throw failure.engineError
    } catch {
      throw InputFailure(error).engineError
    }
  }

  /// The task as it was submitted, with its staged inputs' marks. Of a large one until the job has ended.
  private func taskAndOrigin(_ id: JobID) async throws -> (task: JSONValue, origin: InputOrigin) {
    let stored = try await store.storedTask(id)
    let origin = InputOrigin(coordinator: stored.coordinator)
    guard stored.task[InputSource.stagedTask] != nil else { return (stored.task, origin) }
    let (path, limit) = (path(id, Self.taskName), settings.maxTaskBytes)
    let task = try await blocking { _ in
      let (descriptor, status) = try FileCopy.openRegular(path, name: "the stored task")
      defer { close(descriptor) }
      let bytes = try FileCopy.contents(descriptor, status, limit: limit, name: "the stored task")
      return try JSONValue(parsing: bytes, limits: ContentLimits.fileJSON)
    }
    return (task, origin)
  }

  /// Brings what is remote into the job's input directory, unless an earlier attempt has.
  private func fetch(
    _ slots: [InputSlot], _ id: JobID, _ origin: InputOrigin, deadline: ContinuousClock.Instant,
    _ checkCancelled: @escaping () throws -> Void, progress: @escaping (InputSlot, Int64, Int64?) -> Void
  ) throws {
    var used = slots.reduce(Int64(0)) { $0 + (FileCopy.size(path: path(id, $1.name)) ?? 0) }
    for slot in slots {
      guard case .remote(let url) = try InputSource(stored: slot), FileCopy.size(path: path(id, slot.name)) == nil
      else {
        continue
      }
      let directory = try store.artifacts.makeInputDirectory(id)
      progress(slot, 0, nil)
      try InputFetch(
        url: url, field: slot.field, origin: origin, settings: settings, limit: limit(used: used), deadline: deadline,
        checkCancelled: checkCancelled, progress: { progress(slot, $0, $1) }
      ).run(to: directory + "/" + slot.name)
      try FileCopy.syncDirectory(directory)
      used += FileCopy.size(path: path(id, slot.name)) ?? 0
    }
  }

  private func handOver(
    _ task: JSONValue, _ slots: [InputSlot], _ id: JobID, _ directory: String, contentFiles: Bool,
    _ checkCancelled: () throws -> Void
  ) throws -> PreparedTask {
    // Held open: an engine that can put something else in its place gets nothing written there.
    let work = try FileCopy.openDirectory(directory, name: "the job's work directory")
    defer { close(work) }
    var urls: [(InputSlot, String)] = []
    var inputs: [String: [JobInput]] = [:]
    for slot in slots {
      try checkCancelled()
      let input = try handOver(slot, id, work, checkCancelled)
      inputs[slot.member, default: []].append(input)
      urls.append((slot, FileURL.text(path: directory + "/" + input.name)))
    }
    let task = InputSlot.replace(urls, in: task)
    let bytes = task.bytes
    guard contentFiles, bytes.count > ContentLimits.inlineBytes else { return PreparedTask(task: task, inputs: inputs) }
    try FileCopy.create(Self.taskName, in: work, durable: false) { descriptor in
      try FileCopy.write(bytes, to: descriptor)
    }
    return PreparedTask(task: [:], taskFile: Self.taskName, inputs: inputs)
  }

  /// Puts one staged file into the open work directory: a copy, because the engine may write to it.
  private func handOver(
    _ slot: InputSlot, _ id: JobID, _ work: Int32, _ checkCancelled: () throws -> Void
  ) throws -> JobInput {
    let digest =
      if case .staged(let digest) = try InputSource(stored: slot) { digest } else { FileHash.hex(ofText: slot.url) }
    let source = open(path(id, slot.name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard source >= 0 else {
      throw InputFailure(.resource, "\(slot.field): the worker's copy of the input is gone: submit the job again")
    }
    defer { close(source) }
    let kind = MediaKind(head: FileCopy.head(source))
    let name = "\(InputStage.inputPrefix)\(slot.name).\(kind.ending)"
    let bytes = try FileCopy.size(source)
    let space = store.artifacts.directory
    try FileCopy.create(name, in: work, durable: false) { descriptor in
      let copied = try FileCopy.copy(source, into: descriptor, limit: bytes) { copied in
        try checkCancelled()
        try FileCopy.checkSpace(space, needed: bytes - copied, floor: settings.keepFree)
      }
      guard copied == bytes else {
        throw InputFailure(.resource, "\(slot.field): the worker's copy has changed its size")
      }
    }
    return JobInput(name: name, contentType: kind.contentType, bytes: UInt64(bytes), urlSHA256: digest)
  }
}
