import Crypto
import Glibc
import PluginProtocol

/// Results that lie in a file, read back. Everything here blocks.
extension InputStage {
  /// A job's result, read from its file when it lies in one.
  ///
  /// - Throws: `ArtifactError` when the file cannot be read, or is not what was kept.
  package static func whole(_ job: Job) throws(ArtifactError) -> JSONValue? {
    guard let result = job.result, let index = place(of: result, among: job.artifacts.map(\.name)) else {
      return job.result
    }
    return try read(job.artifacts[index])
  }

  /// A job as the control socket shows it (`Job.json`), with its result in it when that lies in a file, and without that
  /// file among its artifacts. Any other value comes back as it is.
  ///
  /// - Throws: `ArtifactError` when the file cannot be read, or is not what was kept.
  package static func whole(shown job: JSONValue) throws(ArtifactError) -> JSONValue {
    guard var members = job.object, let result = members["result"], var artifacts = members["artifacts"]?.array,
      let index = place(of: result, among: artifacts.map { $0["name"]?.string })
    else { return job }
    guard let artifact = JobArtifact(json: artifacts.remove(at: index)) else { return job }
    members["result"] = try read(artifact)
    members["artifacts"] = .array(artifacts)
    return .object(members)
  }

  /// Which artifact a result lies in: the last of the name, which is the host's own.
  private static func place(of result: JSONValue, among names: [String?]) -> Int? {
    guard OutputIntake.isMark(result), let file = result["file"]?.string else { return nil }
    return names.lastIndex(of: file)
  }

  private static func read(_ artifact: JobArtifact) throws(ArtifactError) -> JSONValue {
    func bad(_ reason: String) -> ArtifactError { ArtifactError(.badArtifact, name: artifact.name, reason) }
    let bytes: [UInt8]
    do {
      let (descriptor, status) = try FileCopy.openRegular(artifact.path, name: "the result")
      defer { close(descriptor) }
      // The host adds `usage` to what an engine may send.
      bytes = try FileCopy.contents(descriptor, status, limit: ContentLimits.fileBytes + 4096, name: "the result")
    } catch {
      throw bad(error.message)
    }
    guard Int64(bytes.count) == artifact.bytes, SHA256.hash(data: bytes).hexText == artifact.sha256 else {
      throw bad("\(artifact.path) is not what the job made")
    }
    do {
      return try JSONValue(parsing: bytes, limits: ContentLimits.fileJSON)
    } catch {
      throw bad("\(artifact.path) is no JSON: \(error)")
    }
  }
}
