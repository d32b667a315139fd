import Glibc
import PluginProtocol

/// A directory inside the work directory for everything that a job writes. Flat; gone after the job, however it ends.
struct ScratchDirectory: Sendable {
  private static let name = ".ffmpeg"

  let path: String

  /// Makes the directory, calls `body`, and removes the directory with all files in it.
  static func with<T>(in workDirectory: String, _ body: (ScratchDirectory) async throws -> T) async throws -> T {
    let scratch = ScratchDirectory(path: "\(workDirectory)/\(name)")
    guard mkdir(scratch.path, 0o700) == 0 else { throw failure("make a directory in the work directory", errno) }
    defer { scratch.remove() }
    return try await body(scratch)
  }

  func write(_ bytes: [UInt8], name: String) throws {
    let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.failure("write to the work directory", errno) }
    defer { close(descriptor) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Self.failure("write to the work directory", errno) }
      rest = rest.dropFirst(count)
    }
  }

  /// A name in the directory for a file elsewhere, whose own name is then never spelt in a filter.
  func link(_ target: String, name: String) throws {
    guard symlink(target, "\(path)/\(name)") == 0 else { throw Self.failure("write to the work directory", errno) }
  }

  /// Bytes of a file in the directory; nil when it is not there.
  func size(_ name: String) -> UInt64? {
    var information = stat()
    guard lstat("\(path)/\(name)", &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return nil }
    return UInt64(information.st_size)
  }

  /// Moves a file into the work directory. A file that is there already is an error.
  func deliver(_ name: String, to workDirectory: String) throws {
    let (from, to) = ("\(path)/\(name)", "\(workDirectory)/\(name)")
    // Unlike rename, link replaces nothing.
    guard Glibc.link(from, to) == 0 else { throw Self.failure("put the result into the work directory", errno) }
    unlink(from)
  }

  private func remove() {
    if let stream = opendir(path) {
      var names: [String] = []
      while let entry = readdir(stream) {
        names.append(
          withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
      }
      closedir(stream)
      for name in names where name != "." && name != ".." { unlink("\(path)/\(name)") }
    }
    rmdir(path)
  }

  private static func failure(_ what: String, _ code: CInt) -> EngineError {
    let isFull = [ENOSPC, EDQUOT, EMFILE, ENFILE].contains(code)
    return EngineError(isFull ? .resource : .engineFault, "cannot \(what): \(String(cString: strerror(code)))")
  }
}
