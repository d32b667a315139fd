import CLinux
import Glibc
import Synchronization

/// Runs a driver's own tool and reads what it prints, within bounds that hold even when the driver hangs: a tool that
/// sits in the kernel and cannot be killed is left behind after a moment, for the host to reap when it ends.
enum BoundedCommand {
  /// Why there is no answer.
  enum Failure: Error, Sendable, Equatable {
    /// It could not be started; an `errno`.
    case start(Int32)
    case timedOut
    /// It was killed and does not die. The process is here, so that the caller does not start another one.
    case unkillable(pid: Int32)
    case exited(status: Int32)
    case killed(signal: Int32)
    case tooMuchOutput
    case cancelled
  }

  /// A tool that prints more than this is not the one that was meant.
  private static let outputLimit = 256 << 10
  /// How long a killed process may take to be gone.
  private static let patience = Duration.seconds(1)
  /// Tools that were left behind, by executable: no second one is sent after a first that hangs.
  private static let leftBehind = Mutex<[String: ProcessTable.Entry]>([:])

  /// Standard output of a command that ended with status 0. Blocks for at most `timeout` and a second; the command and
  /// whatever it started are gone then, except as said above.
  static func output(
    _ executable: String, _ arguments: [String], environment: [String: String], timeout: Duration, cancel: CancelSignal
  ) throws(Failure) -> String {
    if let former = leftBehind.withLock({ $0[executable] }) {
      let isThere = ProcessTable.entry(former.pid).map { $0.startTime == former.startTime && $0.isAlive } ?? false
      if isThere { throw .unkillable(pid: former.pid) }
      leftBehind.withLock { _ = $0.removeValue(forKey: executable) }
    }
    var ends: [Int32] = [-1, -1]
    let made = linux_pipe(&ends)
    guard made >= 0 else { throw .start(-made) }
    let reading = ends[0]
    defer { close(reading) }
    let started = spawn(executable, arguments, environment, output: ends[1])
    close(ends[1])
    let pid = try started.get()
    let process = linux_pidfd_open(pid)
    defer { if process >= 0 { close(process) } }
    let deadline = ContinuousClock.now + timeout
    let read = read(reading, process, deadline, cancel)
    do throws(Failure) {
      try end(pid, process, failure: read.failure)
    } catch {
      if case .unkillable = error, let entry = ProcessTable.entry(pid) {
        leftBehind.withLock { $0[executable] = entry }
      }
      throw error
    }
    return String(decoding: read.bytes, as: UTF8.self)
  }

  private static func read(
    _ descriptor: Int32, _ process: Int32, _ deadline: ContinuousClock.Instant, _ cancel: CancelSignal
  ) -> (bytes: [UInt8], failure: Failure?) {
    guard linux_set_nonblocking(descriptor, 1) >= 0, process >= 0 else { return ([], .start(EMFILE)) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    var isOpen = true
    while true {
      var wanted = [
        pollfd(fd: isOpen ? descriptor : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: process, events: Int16(POLLIN), revents: 0),
        pollfd(fd: cancel.descriptor, events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&wanted, 3, (deadline - .now).pollMilliseconds)
      if ready < 0, errno == EINTR { continue }
      if wanted[2].revents != 0 { return (bytes, .cancelled) }
      if ready == 0 { return (bytes, .timedOut) }
      while isOpen {
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        if count < 0, errno == EAGAIN { break }
        guard count > 0 else {
          isOpen = false
          break
        }
        bytes += buffer[..<count]
        guard bytes.count <= outputLimit else { return (bytes, .tooMuchOutput) }
      }
      // What a process wrote before it ended lies in the pipe, and has been read above. Others may hold the pipe.
      if wanted[1].revents != 0 { return (bytes, nil) }
    }
  }

  /// Kills what is left of the group and reaps its leader, which until then keeps the group's number from strangers.
  private static func end(_ pid: pid_t, _ process: Int32, failure: Failure?) throws(Failure) {
    kill(-pid, SIGKILL)
    var item = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
    let limit = ContinuousClock.now + patience
    while process >= 0, poll(&item, 1, (limit - .now).pollMilliseconds) < 0, errno == EINTR {}
    var status: Int32 = 0
    let reaped = waitpid(pid, &status, process >= 0 ? WNOHANG : 0)
    guard reaped == pid else {
      ChildRegistry.abandon(pid)
      throw .unkillable(pid: pid)
    }
    if let failure { throw failure }
    guard status & 0x7F == 0 else { throw .killed(signal: status & 0x7F) }
    guard status == 0 else { throw .exited(status: (status >> 8) & 0xFF) }
  }

  private static func spawn(
    _ executable: String, _ arguments: [String], _ environment: [String: String], output: Int32
  ) -> Result<pid_t, Failure> {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    var argv: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in argv + envp { free(text) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, executable, &actions, &attributes, &argv, &envp)
    return code == 0 ? .success(pid) : .failure(.start(code))
  }
}

extension BoundedCommand.Failure {
  /// What happened, to be put after the tool's name: `did not answer in time`.
  var text: String {
    switch self {
    case .start(let code): "cannot be started: \(String(cString: strerror(code)))"
    case .timedOut: "did not answer in time"
    case .unkillable(let pid): "hangs in the driver as process \(pid) and cannot be killed"
    case .exited(let status): "failed with exit status \(status)"
    case .killed(let signal): "was killed by signal \(signal)"
    case .tooMuchOutput: "printed more than it should"
    case .cancelled: "was interrupted"
    }
  }
}
