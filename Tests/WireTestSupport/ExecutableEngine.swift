import Glibc
import PluginProtocol
import Synchronization

/// A real engine process on real pipes, with its error output collected. Killed at the end of its life.
public final class ExecutableEngine: Sendable {
  public let client: WireClient
  public let process: ChildProcess
  private let errors: TemporaryDirectory

  public init(_ executable: String) throws {
    let toEngine = TestPipe()
    let fromEngine = TestPipe()
    errors = try TemporaryDirectory()
    let log = open("\(errors.path)/stderr", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer { close(log) }
    process = try ChildProcess([executable], stdin: toEngine.readEnd, stdout: fromEngine.writeEnd, stderr: log)
    client = WireClient(
      input: fcntl(fromEngine.readEnd, F_DUPFD_CLOEXEC, 3), output: fcntl(toEngine.writeEnd, F_DUPFD_CLOEXEC, 3))
  }

  /// Everything that the process has written to its error output so far.
  public var errorText: String {
    get throws {
      let file = open("\(errors.path)/stderr", O_RDONLY | O_CLOEXEC)
      defer { close(file) }
      var out: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while case let count = read(file, &buffer, buffer.count), count > 0 { out += buffer[..<count] }
      return String(decoding: out, as: UTF8.self)
    }
  }

  deinit { process.end() }
}
