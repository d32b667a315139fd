import CLinux
import Glibc

/// Starts an engine as somebody does who types its name: with a terminal as its stdin.
enum TerminalStart {
  struct Seen {
    /// Exit status; nil when it had to be killed.
    var status: Int32?
    var errors: [UInt8] = []
  }

  /// Blocks until the process has ended, or until it is killed at the end of `time`.
  static func run(_ spec: ProcessSpec, within time: Duration) throws -> Seen {
    var ends: [Int32] = [-1, -1]
    let made = linux_terminal(&ends)
    guard made >= 0 else { throw ConformanceStop.skip("this machine has no pseudo-terminals: \(errorText(-made))") }
    defer {
      close(ends[0])
      close(ends[1])
    }
    return try run(spec, input: ends[1], until: SystemHostClock().now().advanced(by: time))
  }

  private static func run(_ spec: ProcessSpec, input: Int32, until deadline: MonotonicInstant) throws -> Seen {
    var ends: [Int32] = [-1, -1]
    guard linux_pipe(&ends) >= 0 else { throw ConformanceStop.skip("there is no descriptor left for a pipe") }
    defer { close(ends[0]) }
    let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
    // env enters the directory: a plain child has no launcher to do so.
    let directory = spec.workingDirectory ?? "/"
    var argv = (["/usr/bin/env", "-C", directory, "--"] + spec.command).map { strdup($0) } + [nil]
    var envp = spec.environmentEntries.map { strdup($0) } + [nil]
    let descriptors = [input, null, ends[1]]
    let pid = linux_spawn("/usr/bin/env", &argv, &envp, descriptors, 3)
    for text in argv + envp { free(text) }
    close(ends[1])
    close(null)
    guard pid > 0 else { throw ConformanceStop.skip("the program cannot be started: \(errorText(-pid))") }
    let process = linux_pidfd_open(pid)
    defer { if process >= 0 { close(process) } }
    return watch(pid, process, ends[0], deadline)
  }

  private static func watch(_ pid: Int32, _ process: Int32, _ errors: Int32, _ deadline: MonotonicInstant) -> Seen {
    var seen = Seen()
    _ = linux_set_nonblocking(errors, 1)
    var buffer = [UInt8](repeating: 0, count: 4096)
    var items = [
      pollfd(fd: process, events: Int16(POLLIN), revents: 0), pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      let now = SystemHostClock().now()
      if now >= deadline { break }
      guard poll(&items, 2, now.duration(to: deadline).pollMilliseconds) > 0 else { continue }
      let count = read(errors, &buffer, buffer.count)
      if count > 0, seen.errors.count < 1 << 16 { seen.errors += buffer[..<count] }
      if count == 0 { items[1].fd = -1 }
      if items[0].revents != 0, count <= 0 { break }
    }
    var status: Int32 = 0
    if waitpid(pid, &status, WNOHANG) == pid {
      if status & 0x7F == 0 { seen.status = (status >> 8) & 0xFF }
      return seen
    }
    kill(pid, SIGKILL)
    waitpid(pid, &status, 0)
    return seen
  }
}
