import CWhisper
import Glibc
import PluginProtocol

/// A command with nothing on its stdin, its stdout and stderr in the hands of its owner. Killed and reaped at the latest
/// when the last reference goes.
final class ChildProcess {
  private var pid: pid_t
  private var output: CInt
  private var log: CInt

  /// - Throws: `EngineError(.resource)` when the system has no more processes or descriptors.
  init(command: String, arguments: [String]) throws(EngineError) {
    let outputPipe = try Self.makePipe()
    let logPipe: (read: CInt, write: CInt)
    do {
      logPipe = try Self.makePipe()
    } catch {
      close(outputPipe.read)
      close(outputPipe.write)
      throw error
    }
    defer {
      close(outputPipe.write)
      close(logPipe.write)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, outputPipe.write, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, logPipe.write, STDERR_FILENO)
    // The engine ignores SIGPIPE; a command that cannot write any more shall end by it.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))

    var words = ([command] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var child: pid_t = 0
    let status = posix_spawn(&child, command, &actions, &attributes, &words, environ)
    guard status == 0 else {
      close(outputPipe.read)
      close(logPipe.read)
      throw EngineError(.resource, "\(command) cannot be started: \(String(cString: strerror(status))).")
    }
    pid = child
    output = outputPipe.read
    log = logPipe.read
  }

  deinit {
    kill()
    _ = finish()
  }

  /// Waits until there is something to read, or an end, and says where.
  func wait(milliseconds: CInt) -> (hasOutput: Bool, hasLog: Bool) {
    // A descriptor below 0 is left out.
    var watched = [
      pollfd(fd: output, events: Int16(POLLIN), revents: 0), pollfd(fd: log, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&watched, nfds_t(watched.count), milliseconds) > 0 else { return (false, false) }
    return (watched[0].revents != 0, watched[1].revents != 0)
  }

  /// The next bytes of stdout; 0 at its end.
  func readOutput(into buffer: inout [UInt8]) -> Int { Self.read(&output, &buffer) }

  /// The next bytes of stderr; 0 at its end.
  func readLog(into buffer: inout [UInt8]) -> Int { Self.read(&log, &buffer) }

  /// Ends it at once. It writes to pipes only: there is nothing that it would have to tidy up.
  func kill() {
    if pid > 0 { _ = Glibc.kill(pid, SIGKILL) }
  }

  /// Waits for its end: the exit status, or the signal that ended it.
  func finish() -> (status: Int32?, signal: Int32) {
    defer {
      for descriptor in [output, log] where descriptor >= 0 { close(descriptor) }
      (pid, output, log) = (0, -1, -1)
    }
    guard pid > 0 else { return (nil, 0) }
    var status: CInt = 0
    while waitpid(pid, &status, 0) < 0 {
      guard errno == EINTR else { return (nil, 0) }
    }
    let signal = status & 0x7F
    return signal == 0 ? ((status >> 8) & 0xFF, 0) : (nil, signal)
  }

  private static func read(_ descriptor: inout CInt, _ buffer: inout [UInt8]) -> Int {
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count > 0 { return count }
      close(descriptor)
      descriptor = -1
      return 0
    }
  }

  private static func makePipe() throws(EngineError) -> (read: CInt, write: CInt) {
    var ends: [CInt] = [-1, -1]
    let status = swhisper_pipe(&ends)
    guard status == 0 else {
      throw EngineError(.resource, "No pipe for ffmpeg: \(String(cString: strerror(status))).")
    }
    return (ends[0], ends[1])
  }
}
