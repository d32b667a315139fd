import Crypto
import Glibc
import Host
import PluginProtocol

/// Puts a job's result where the user wants it: whole, or not at all.
struct ResultWriter {
  let job: JobView
  /// The worker's whole result instead of its text.
  let asJSON: Bool
  /// How a transcript is written; nil as text.
  var transcript: TranscriptFormat?

  /// Writes the result to a path and says where it lies.
  ///
  /// Artifacts, when there are any: one becomes the file at the path, several a new directory there. Otherwise the text.
  func write(to path: String) throws -> String {
    guard !path.isEmpty else { throw CLIError.usage("-o needs a file's name") }
    if !job.artifacts.isEmpty, !asJSON {
      let artifacts = try job.artifacts.map(Artifact.init)
      if artifacts.count == 1 { try copy(artifacts[0], to: path) } else { try copy(artifacts, into: path) }
    } else {
      try refuseDirectory(path)
      let content = try content()
      try replace(path) { descriptor in try ResultWriter.write(content, to: descriptor, path) }
    }
    return path
  }

  /// Refuses a place that could never be written to, before work is done for it.
  static func checkPlace(_ path: String) throws {
    guard !path.isEmpty else { throw CLIError.usage("-o needs a file's name") }
    let parent = path.contains("/") ? FilePath.parent(path) : "."
    guard access(parent, W_OK | X_OK) == 0 else {
      throw CLIError.usage("-o \(path): cannot write in \(parent): \(String(cString: strerror(errno)))")
    }
  }

  private func content() throws -> [UInt8] {
    if let transcript { return Array(try transcript.text(of: job.json["result"] ?? .object([:])).utf8) }
    if asJSON { return Array(((job.json["result"] ?? .object([:])).prettyText + "\n").utf8) }
    guard let text = job.text else {
      return Array(((job.json["result"] ?? .object([:])).prettyText + "\n").utf8)
    }
    return Array((text.hasSuffix("\n") ? text : text + "\n").utf8)
  }

  /// A result file as the worker describes it.
  private struct Artifact {
    let name: String
    let path: String
    let bytes: Int64
    let sha256: String

    init(_ json: JSONValue) throws {
      guard let name = json["name"]?.string, let path = json["path"]?.string, let bytes = json["bytes"]?.int,
        let sha256 = json["sha256"]?.string
      else { throw CLIError.failed("the worker's description of a result file is incomplete") }
      guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(where: { $0 == 0x2F || $0 == 0 }) else {
        throw CLIError.failed("the result file's name '\(name)' is not a name; nothing was written")
      }
      (self.name, self.path, self.bytes, self.sha256) = (name, path, bytes, sha256.lowercased())
    }
  }

  private func copy(_ artifact: Artifact, to path: String) throws {
    try refuseDirectory(path)
    try replace(path) { descriptor in
      var hash = SHA256()
      var failure: (any Error)?
      let found: SafeFile.Identity
      do throws(SafeFile.ReadError) {
        found = try SafeFile.stream(artifact.path, maxBytes: Int.max) { bytes in
          hash.update(bufferPointer: bytes)
          do {
            if failure == nil { try ResultWriter.write(bytes, to: descriptor, path) }
          } catch {
            failure = error
          }
        }
      } catch {
        throw CLIError.failed("the result file \(error); it may have been pruned")
      }
      if let failure { throw failure }
      let sum = hash.finalize().map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
      guard found.size == artifact.bytes, sum == artifact.sha256 else {
        throw CLIError(
          .failed, class: "bad_artifact",
          "\(artifact.path) is not what the job made (its SHA-256 is \(sum)); nothing was written")
      }
    }
  }

  private func copy(_ artifacts: [Artifact], into path: String) throws {
    var status = stat()
    guard lstat(path, &status) != 0 else {
      throw CLIError.usage("\(path) exists, and the job has \(artifacts.count) files; name a new directory")
    }
    guard Set(artifacts.map(\.name)).count == artifacts.count else {
      throw CLIError.failed("two result files have one name; nothing was written")
    }
    let temporary = ResultWriter.temporary(path)
    guard mkdir(temporary, 0o777) == 0 else { throw ResultWriter.failure("create", temporary) }
    do {
      for artifact in artifacts { try copy(artifact, to: temporary + "/" + artifact.name) }
      guard rename(temporary, path) == 0 else { throw ResultWriter.failure("create", path) }
    } catch {
      for artifact in artifacts { unlink(temporary + "/" + artifact.name) }
      rmdir(temporary)
      throw error
    }
  }

  private func refuseDirectory(_ path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    let what = status.st_mode & S_IFMT
    if what == S_IFDIR { throw CLIError.usage("\(path) is a directory; name the file to write") }
    guard what == S_IFREG else { throw CLIError.usage("\(path) is not a regular file; name another one") }
  }

  /// Writes a new file and gives it the old one's place in one step.
  private func replace(_ path: String, _ body: (CInt) throws -> Void) throws {
    // A symbolic link stays one: the file it leads to is replaced.
    let target = (try? FilePath.resolve(path).get()) ?? path
    let temporary = ResultWriter.temporary(target)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard descriptor >= 0 else { throw ResultWriter.failure("write", path) }
    do {
      do {
        try body(descriptor)
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw ResultWriter.failure("write", path) }
      } catch {
        close(descriptor)
        throw error
      }
      guard close(descriptor) == 0, rename(temporary, target) == 0 else { throw ResultWriter.failure("write", path) }
    } catch {
      unlink(temporary)
      throw error
    }
  }

  private static func temporary(_ path: String) -> String { "\(path).\(getpid()).part" }

  private static func write(_ bytes: [UInt8], to descriptor: CInt, _ path: String) throws {
    try bytes.withUnsafeBytes { try write($0, to: descriptor, path) }
  }

  private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt, _ path: String) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { throw failure("write", path) }
    }
  }

  private static func failure(_ doing: String, _ path: String) -> CLIError {
    CLIError(.failed, class: "output", "cannot \(doing) \(path): \(String(cString: strerror(errno)))")
  }
}
