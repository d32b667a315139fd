import Glibc

/// Names of signals for people.
package enum SignalNames {
  private static let known: [Int32: (name: String, meaning: String)] = [
    SIGHUP: ("SIGHUP", "hang-up"), SIGINT: ("SIGINT", "interrupt"), SIGQUIT: ("SIGQUIT", "quit"),
    SIGILL: ("SIGILL", "illegal instruction"), SIGTRAP: ("SIGTRAP", "trap"), SIGABRT: ("SIGABRT", "abort"),
    SIGBUS: ("SIGBUS", "bus error"), SIGFPE: ("SIGFPE", "arithmetic error"), SIGKILL: ("SIGKILL", "killed"),
    SIGUSR1: ("SIGUSR1", "user signal"), SIGSEGV: ("SIGSEGV", "segmentation fault"),
    SIGUSR2: ("SIGUSR2", "user signal"), SIGPIPE: ("SIGPIPE", "broken pipe"), SIGALRM: ("SIGALRM", "alarm"),
    SIGTERM: ("SIGTERM", "terminated"), SIGXCPU: ("SIGXCPU", "processor time limit"),
    SIGXFSZ: ("SIGXFSZ", "file size limit"), SIGSYS: ("SIGSYS", "forbidden system call"),
  ]

  /// `SIGSEGV`, or `signal 42` for one without a name.
  package static func name(_ signal: Int32) -> String {
    known[signal]?.name ?? "signal \(signal)"
  }

  /// `SIGSEGV (segmentation fault)`, or `signal 42`.
  package static func description(_ signal: Int32) -> String {
    known[signal].map { "\($0.name) (\($0.meaning))" } ?? "signal \(signal)"
  }
}
