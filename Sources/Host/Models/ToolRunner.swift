import CLinux
import Glibc

/// Runs a short-lived tool (pip, Python) in a process group of its own, reads what it says, and never leaves it behind.
enum ToolRunner {
  struct Outcome: Sendable {
    /// Nil when a signal ended it.
    var exitStatus: Int32?
    var signal: Int32?
    /// The end of what it wrote for people, at most 4 KiB.
    var tail: String

    var succeeded: Bool { exitStatus == 0 }
    /// `exit status 1` or `signal 9`.
    var ending: String { exitStatus.map { "exit status \($0)" } ?? "signal \(signal ?? 0)" }
  }

  private static let tailLimit = 4096
  /// How long a process that inherited the pipes may keep them open after the tool itself has ended.
  private static let drain: Duration = .milliseconds(500)
  private static let tickMilliseconds: Int32 = 200

  /// Runs a tool to its end; when anything throws, the whole group is killed first.
  ///
  /// - Parameters:
  ///   - executable: A path, not looked up.
  ///   - onOutput: Gets standard output as it comes; nil adds it to the tail.
  ///   - onTick: Called at least five times a second while the tool runs.
  /// - Throws: `CancellationError`, `ModelError`, or what the closures throw.
  static func run(
    _ executable: String, _ arguments: [String], environment: [String: String], cancel: CancelSignal,
    onOutput: ((UnsafeRawBufferPointer) throws -> Void)? = nil, onTick: (_ sawOutput: Bool) throws -> Void = { _ in }
  ) throws -> Outcome {
    try cancel.check()
    let output = try Pipe()
    let errors = try Pipe()
    let pid = try spawn(
      executable, arguments, environment, output: onOutput == nil ? errors.writeEnd : output.writeEnd,
      errors: errors.writeEnd)
    output.closeWriteEnd()
    errors.closeWriteEnd()
    var tail: [UInt8] = []
    // The leader is not reaped before its group was killed, so that the group's number cannot be a stranger's.
    defer { end(pid, &tail) }
    var exitedAt: ContinuousClock.Instant?
    while true {
      var wanted = [
        pollfd(fd: output.isOpen ? output.readEnd : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: errors.isOpen ? errors.readEnd : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: cancel.descriptor, events: Int16(POLLIN), revents: 0),
      ]
      let allClosed = !output.isOpen && !errors.isOpen
      _ = poll(&wanted, 3, exitedAt == nil ? (allClosed ? 20 : tickMilliseconds) : 20)
      try cancel.check()
      var sawOutput = try output.read { bytes in
        if let onOutput { try onOutput(bytes) } else { keep(bytes, in: &tail) }
      }
      sawOutput = try errors.read { keep($0, in: &tail) } || sawOutput
      try onTick(sawOutput)
      if exitedAt == nil, hasExited(pid) { exitedAt = .now }
      if let exitedAt, allClosed || (!sawOutput && .now - exitedAt > drain) { break }
    }
    return end(pid, &tail)
  }

  private static func keep(_ bytes: UnsafeRawBufferPointer, in tail: inout [UInt8]) {
    tail.append(contentsOf: bytes.suffix(tailLimit))
    if tail.count > tailLimit { tail.removeFirst(tail.count - tailLimit) }
  }

  private static func hasExited(_ pid: pid_t) -> Bool {
    var info = siginfo_t()
    guard waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 else { return true }
    return info.si_signo != 0
  }

  /// Kills whatever is left of the group and reaps its leader. Harmless when that has been done.
  @discardableResult
  private static func end(_ pid: pid_t, _ tail: inout [UInt8]) -> Outcome {
    var outcome = Outcome(exitStatus: nil, signal: SIGKILL, tail: ToolText.clean(tail))
    var info = siginfo_t()
    // A leader that was reaped before is nobody's child: then there is no group to aim at either.
    guard waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 else { return outcome }
    kill(-pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
      guard errno == EINTR else { return outcome }
    }
    if status & 0x7F == 0 {
      outcome.exitStatus = (status >> 8) & 0xFF
      outcome.signal = nil
    } else {
      outcome.signal = status & 0x7F
    }
    return outcome
  }

  private static func spawn(
    _ executable: String, _ arguments: [String], _ environment: [String: String], output: Int32, errors: Int32
  ) throws(ModelError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, errors, 2)
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
    guard code == 0 else {
      throw ModelError(.toolFailed, "cannot start \(executable): \(String(cString: strerror(code)))")
    }
    return pid
  }

  /// A close-on-exec pipe whose reading end never blocks.
  private final class Pipe {
    let readEnd: Int32
    private(set) var writeEnd: Int32
    private(set) var isOpen = true

    init() throws(ModelError) {
      var ends: [Int32] = [-1, -1]
      guard linux_pipe(&ends) >= 0, linux_set_nonblocking(ends[0], 1) >= 0 else {
        throw ModelError(.fileSystem, "no descriptor is left for a pipe; raise the limit of open files")
      }
      readEnd = ends[0]
      writeEnd = ends[1]
    }

    deinit {
      close(readEnd)
      closeWriteEnd()
    }

    func closeWriteEnd() {
      if writeEnd >= 0 { close(writeEnd) }
      writeEnd = -1
    }

    /// Reads what is there, at most 1 MiB, and tells whether there was anything.
    func read(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Bool {
      guard isOpen else { return false }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
      defer { buffer.deallocate() }
      var sawAny = false
      for _ in 0..<16 {
        let got = Glibc.read(readEnd, buffer.baseAddress, buffer.count)
        if got > 0 {
          sawAny = true
          try body(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
        } else if got < 0, errno == EINTR {
          continue
        } else {
          if got == 0 || errno != EAGAIN { isOpen = false }
          break
        }
      }
      return sawAny
    }
  }
}

/// What a tool wrote, made fit for a message.
enum ToolText {
  /// Valid UTF-8 without control characters, and without the credentials of URLs.
  static func clean(_ bytes: [UInt8]) -> String {
    let text = String(decoding: bytes, as: UTF8.self)
    let visible = String(
      String.UnicodeScalarView(
        text.unicodeScalars.filter { $0 == "\n" || ($0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value)) }))
    return visible.split(separator: "\n", omittingEmptySubsequences: true).map { line in
      line.split(separator: " ", omittingEmptySubsequences: false).map { redact(String($0)) }.joined(separator: " ")
    }.joined(separator: "\n")
  }

  /// A word without what stands before the `@` of a URL in it, or in its query.
  static func redact(_ word: String) -> String {
    guard let scheme = word.firstRange(of: "://") else { return word }
    var rest = word[scheme.upperBound...]
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    if let at = authority.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
    if let query = rest.firstIndex(of: "?") { rest = rest[..<query] + "?…" }
    return String(word[..<scheme.upperBound] + rest)
  }
}
