// `stdout` is a C global variable: the import says that its accesses here are known to be safe.
@preconcurrency import Glibc

/// The entry of an engine's executable.
///
/// ```swift
/// @main struct Main { static func main() async { await EngineMain.run(MyEngine()) } }
/// ```
public enum EngineMain {
  /// Exit status of an engine that was started by hand on a terminal (`EX_USAGE` of sysexits.h).
  public static let usageStatus: CInt = 64

  /// How long jobs have to end after the host has closed the wire, before the process ends without them.
  static let endOfInputGraceSeconds: CUnsignedInt = 2

  /// Takes the wire off descriptors 0 and 1, serves `engine`, and ends the process.
  ///
  /// From the first line on, fd 0 reads `/dev/null` and fd 1 is fd 2, so that a stray print of the engine, of a C
  /// library or of a child process lands in the log and cannot corrupt the wire.
  public static func run(_ engine: some Engine) async -> Never {
    if isatty(STDIN_FILENO) == 1 {
      let information = engine.information
      complain(
        """
        \(information.name) \(information.version) is an engine for the stoker host, which talks to it over a pipe.
        Put its directory into one of those that `stoker plugins list` names, then send it a job with `stoker submit`.
        """)
      exit(usageStatus)
    }
    signal(SIGPIPE, SIG_IGN)
    let input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
    let output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
    let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
    guard input >= 0, output >= 0, null >= 0, dup2(null, STDIN_FILENO) >= 0, dup2(STDERR_FILENO, STDOUT_FILENO) >= 0
    else {
      complain("cannot take over the wire: errno \(errno)")
      exit(71)  // EX_OSERR
    }
    // A line that was printed before a crash is then in the log.
    setvbuf(stdout, nil, _IOLBF, 0)
    _ = await EngineServer(engine, input: input, output: output).run {
      // The host is gone. A job that does not obey must not keep the process.
      sleep(endOfInputGraceSeconds)
      _exit(0)
    }
    // Not exit(): with the host gone, or its answer given, destructors of native libraries can only do harm.
    fflush(nil)
    _exit(0)
  }

  private static func complain(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
