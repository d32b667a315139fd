import Foundation
import Glibc
import Synchronization

/// A child process with the given descriptors, killed at the end of its life.
public final class ChildProcess: Sendable {
  public struct SpawnError: Error, CustomStringConvertible {
    public let description: String
  }

  /// How a process ended.
  public enum Exit: Equatable, Sendable {
    case status(CInt)
    case signal(CInt)
  }

  public let pid: pid_t
  private let exit = Mutex<(exit: Exit?, waiters: [CheckedContinuation<Exit, Never>])>((nil, []))

  /// Starts `arguments[0]`, looked up in PATH when it has no slash. The caller goes on owning the descriptors.
  public init(_ arguments: [String], stdin: CInt, stdout: CInt, stderr: CInt) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (target, source) in [(0, stdin), (1, stdout), (2, stderr)] as [(CInt, CInt)] {
      posix_spawn_file_actions_adddup2(&actions, source, target)
    }
    var words = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, arguments[0], &actions, nil, &words, environ)
    guard code == 0 else { throw SpawnError(description: "\(arguments[0]): \(String(cString: strerror(code)))") }
    pid = child
    Thread.detachNewThread { [self] in reap() }
  }

  private func reap() {
    var status: CInt = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    let ended: Exit = status & 0x7F == 0 ? .status(status >> 8 & 0xFF) : .signal(status & 0x7F)
    let waiters = exit.withLock { state in
      state.exit = ended
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume(returning: ended) }
  }

  /// Waits for the end of the process.
  public func ended() async -> Exit {
    await withCheckedContinuation { continuation in
      let known = exit.withLock { state in
        if state.exit == nil { state.waiters.append(continuation) }
        return state.exit
      }
      if let known { continuation.resume(returning: known) }
    }
  }

  /// Ends the process if it has not ended.
  public func end() {
    exit.withLock { if $0.exit == nil { kill(pid, SIGKILL) } }
  }
}

/// What a tool has printed.
public struct ToolOutput: Sendable {
  public let exit: ChildProcess.Exit
  public let stdout: String
  public let stderr: String
}

/// Programs that tests ask for a second opinion.
public enum Tool {
  /// True when `name` is found in PATH.
  public static func exists(_ name: String) -> Bool {
    (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":").contains {
      access("\($0)/\(name)", X_OK) == 0
    }
  }

  /// Runs a program to its end with `/dev/null` as its input.
  public static func run(_ arguments: [String]) async throws -> ToolOutput {
    let directory = try TemporaryDirectory()
    let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
    let files = ["out", "err"].map { open("\(directory.path)/\($0)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
    defer { for file in files + [null] { close(file) } }
    let exit = try await ChildProcess(arguments, stdin: null, stdout: files[0], stderr: files[1]).ended()
    return ToolOutput(
      exit: exit, stdout: try String(contentsOfFile: "\(directory.path)/out", encoding: .utf8),
      stderr: try String(contentsOfFile: "\(directory.path)/err", encoding: .utf8))
  }

  /// Path of an executable of this package, built beside the tests.
  public static func built(_ name: String) -> String {
    var path = [CChar](repeating: 0, count: 4096)
    let length = readlink("/proc/self/exe", &path, path.count - 1)
    let tests = String(decoding: path.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return tests.split(separator: "/").dropLast().reduce(into: "") { $0 += "/\($1)" } + "/\(name)"
  }
}

/// A directory that is removed at the end of its life.
public final class TemporaryDirectory: Sendable {
  public let path: String

  public init() throws {
    var template = Array("\(NSTemporaryDirectory())/stoker-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw ChildProcess.SpawnError(description: "no temporary directory: errno \(errno)")
    }
    path = String(cString: made)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
