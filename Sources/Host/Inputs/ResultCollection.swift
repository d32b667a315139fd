import CArtifact
import Crypto
import Glibc
import PluginProtocol

/// What an engine's answer amounts to once its files have been taken.
package struct CollectedResult: Sendable, Equatable {
  /// What the store keeps: the output, or where it lies: `{"file": NAME, "bytes": N}`.
  package var result: JSONValue
  package var artifacts: [JobArtifact]
}

extension InputStage {
  /// Takes an attempt's artifacts and its output, from the answer or from the file it names, with `usage` in it.
  ///
  /// An output above the store's `maxInlineBytes` becomes the artifact `result.json` (or `result-1.json`, … when the engine
  /// has taken the name), the last one, and the result says so: an object with exactly `file`, its name, and `bytes`. A
  /// smaller output of just these members goes there too, so that such a result always means a file.
  ///
  /// - Parameter plugin: whose engine it was, as when the work directory was made.
  /// - Throws: `ArtifactError`; then nothing of the attempt's artifacts is left.
  package func collect(
    _ answer: JobRunResult, of id: JobID, attempt: Int, from plugin: String? = nil
  ) async throws(ArtifactError) -> CollectedResult {
    // On most answers there is nothing to take and nothing to put aside: no other thread is asked then.
    if answer.artifacts.isEmpty, answer.outputFile == nil {
      try await store.artifacts.checkLeavings(of: id, attempt: attempt, from: plugin)
    }
    var artifacts =
      answer.artifacts.isEmpty
      ? [] : try await store.artifacts.take(answer.artifacts, of: id, attempt: attempt, from: plugin)
    if answer.outputFile == nil, case .object(var members) = answer.output {
      if let usage = answer.usage, members["usage"] == nil { members["usage"] = usage }
      let result = JSONValue.object(members)
      if !OutputIntake.isMark(result), result.bytes.count <= store.options.maxInlineBytes {
        return CollectedResult(result: result, artifacts: artifacts)
      }
    }
    let intake = OutputIntake(
      work: store.artifacts.workDirectory(id, attempt: attempt, of: plugin),
      target: store.artifacts.artifactDirectory(id, attempt: attempt), inlineBytes: store.options.maxInlineBytes)
    let taken = Set(artifacts.map(\.name))
    let outcome = await store.artifacts.onQueue { Result { () throws(ArtifactError) in try intake.run(answer, taken) } }
    do {
      let (result, spilled) = try outcome.get()
      if let spilled { artifacts.append(spilled) }
      return CollectedResult(result: result, artifacts: artifacts)
    } catch {
      await store.artifacts.removeArtifacts(of: id, attempt: attempt)
      throw error
    }
  }
}

/// The check and the reading of an output that came as a file. Blocks; hostile until proven otherwise.
struct OutputIntake {
  /// The attempt's work directory.
  let work: String
  /// Where the attempt's artifacts lie.
  let target: String
  /// Largest result that the store keeps in its row.
  let inlineBytes: Int

  /// The result, and the artifact it lies in when it is too large for the store.
  func run(_ answer: JobRunResult, _ taken: Set<String>) throws(ArtifactError) -> (JSONValue, JobArtifact?) {
    var members = try (answer.outputFile.map(read) ?? answer.output).object ?? [:]
    if let usage = answer.usage, members["usage"] == nil { members["usage"] = usage }
    let result = JSONValue.object(members)
    let bytes = result.bytes
    guard bytes.count > inlineBytes || Self.isMark(result) else { return (result, nil) }
    let artifact = try spill(bytes, taken)
    return (["file": .string(artifact.name), "bytes": .int(artifact.bytes)], artifact)
  }

  /// Whether a result is one that says where the real one lies, by its members' names alone.
  static func isMark(_ result: JSONValue) -> Bool {
    guard let members = result.object else { return false }
    return members.count == 2 && members["file"] != nil && members["bytes"] != nil
  }

  private func read(_ declared: OutputFile) throws(ArtifactError) -> JSONValue {
    func bad(_ reason: String) -> ArtifactError {
      ArtifactError(.badArtifact, name: declared.name, "the output: " + reason)
    }
    if let fault = ArtifactName.fault(in: declared.name) { throw bad(fault) }
    guard declared.bytes <= UInt64(ContentLimits.fileBytes) else {
      throw bad("\(declared.bytes) bytes were declared and \(ContentLimits.fileBytes) are allowed")
    }
    let directory = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard directory >= 0 else { throw bad("the work directory is gone or was replaced") }
    defer { close(directory) }
    let file = cartifact_open_beneath(directory, declared.name)
    guard file >= 0 else { throw bad("it cannot be opened: \(String(cString: strerror(errno)))") }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw bad("it is not a regular file") }
    guard status.st_nlink == 1 else { throw bad("it has \(status.st_nlink) hard links; one is allowed") }
    guard status.st_size == off_t(declared.bytes) else {
      throw bad("it has \(status.st_size) bytes and \(declared.bytes) were declared")
    }
    let bytes: [UInt8]
    do {
      bytes = try FileCopy.contents(file, status, limit: ContentLimits.fileBytes, name: declared.name)
    } catch {
      throw bad(error.message)
    }
    let output: JSONValue
    do {
      output = try JSONValue(parsing: bytes, limits: ContentLimits.fileJSON)
    } catch {
      throw bad("it is no JSON: \(error)")
    }
    guard output.object != nil else { throw bad("it holds no object, but one of type \(output.typeName)") }
    return output
  }

  private func spill(_ bytes: [UInt8], _ taken: Set<String>) throws(ArtifactError) -> JobArtifact {
    var name = "result.json"
    var round = 0
    while taken.contains(name) {
      round += 1
      name = "result-\(round).json"
    }
    do {
      try StoreFiles.makeDirectory(target)
      try FileCopy.create(target + "/" + name, durable: true) { descriptor in
        try FileCopy.write(bytes, to: descriptor)
      }
      try FileCopy.syncDirectory(target)
    } catch {
      throw ArtifactError(.resource, name: name, "the result cannot be kept: \(InputFailure(error).message)")
    }
    return JobArtifact(
      name: name, contentType: "application/json", bytes: Int64(bytes.count),
      sha256: SHA256.hash(data: bytes).hexText, path: target + "/" + name)
  }
}
