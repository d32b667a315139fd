import Glibc
import PluginProtocol

/// Writes a result file into a job's work directory.
enum ArtifactFile {
  /// Writes a new file and declares it. A file that is there already, a link too, is an error.
  static func write(
    _ bytes: [UInt8], name: String, contentType: String, in directory: String
  ) throws -> ArtifactDeclaration {
    let path = "\(directory)/\(name)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure(path, errno) }
    var code = writeAll(bytes, to: descriptor)
    // Some file systems tell of a full disk only here.
    if close(descriptor) != 0, code == 0 { code = errno }
    guard code == 0 else { throw failure(path, code) }
    return ArtifactDeclaration(
      name: name, contentType: contentType, bytes: UInt64(bytes.count), sha256: Fingerprint(of: bytes).hex)
  }

  /// Returns 0, or the `errno` of the failed write.
  private static func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> CInt {
    bytes.withUnsafeBytes { buffer in
      var rest = buffer[...]
      while !rest.isEmpty {
        let written = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if written < 0, errno == EINTR { continue }
        if written <= 0 { return errno }
        rest = rest.dropFirst(written)
      }
      return 0
    }
  }

  private static func failure(_ path: String, _ code: CInt) -> EngineError {
    let reason = String(cString: strerror(code))
    let isFull = code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE
    return EngineError(
      isFull ? .resource : .engineFault, "cannot write the result to the job's work directory: \(reason)",
      evidence: "\(path): \(reason)")
  }
}
