import Glibc

/// How an engine's process came to its end.
package enum ProcessOutcome: Sendable, Equatable {
  /// Not even the monitor started.
  case spawnFailed(SpawnError)
  /// The monitor could not start the program.
  case notStarted(step: ProcessStatusRecord.Step, errno: Int32)
  case exited(code: Int32)
  /// `sentByHost`: the host asked for it, with this or an earlier signal.
  case signaled(signal: Int32, sentByHost: Bool)
  /// The monitor was killed, and the engine with it.
  case monitorLost
}

/// Why an engine ended, in words for the person who has to do something about it.
package struct ExitDiagnosis: Sendable, Equatable {
  package enum Cause: Sendable, Equatable {
    case launcher
    case hostResource
    case invalidSpecification
    case missingExecutable
    case notExecutable
    case wrongArchitecture(built: String, machine: String)
    case notAProgram
    case missingInterpreter(String)
    case missingSharedLibrary(String)
    case missingWorkingDirectory
    case permission
    case textBusy
    case limits
    /// This kernel cannot confine it as is required.
    case noSandbox
    /// The file is not the one whose digest was checked.
    case replaced
    /// It wrote a file beyond the limit of one file's size.
    case fileTooLarge
    /// Killed by the kernel because memory ran out: not the engine's fault alone.
    case outOfMemory
    case signal(Int32)
    case endedByHost
    case monitorLost
    /// It left by itself with this status.
    case exit(Int32)
    case other(errno: Int32)
  }

  /// What is known at the end of a process.
  package struct Evidence: Sendable {
    package var outcome: ProcessOutcome
    package var command: [String]
    package var workingDirectory: String?
    /// Needed for an outcome of `.notStarted(step: .exec)` and for exit status 126 or 127.
    package var executable: ExecutableFacts?
    /// The engine's last lines on stderr; the last 20 are kept.
    package var stderrTail: [String]
    /// Whether `OOMKillCounter` has grown since the engine was started.
    package var oomKillSeen: Bool

    package init(
      outcome: ProcessOutcome, command: [String], workingDirectory: String? = nil, executable: ExecutableFacts? = nil,
      stderrTail: [String] = [], oomKillSeen: Bool = false
    ) {
      self.outcome = outcome
      self.command = command
      self.workingDirectory = workingDirectory
      self.executable = executable
      self.stderrTail = stderrTail
      self.oomKillSeen = oomKillSeen
    }
  }

  /// Lines of stderr that go with a diagnosis.
  package static let tailLimit = 20

  package let cause: Cause
  /// One sentence: the command, what happened to it, and what to do.
  package let sentence: String
  /// The engine's last lines on stderr, at most `tailLimit`, unchanged: neutralise them before a terminal sees them.
  package let stderrTail: [String]

  /// - Parameter evidence: what is known.
  package init(_ evidence: Evidence) {
    let tail = Array(evidence.stderrTail.suffix(Self.tailLimit))
    cause = Self.cause(evidence, tail: tail)
    sentence = Self.sentence(cause, evidence)
    stderrTail = tail
  }

  private static func cause(_ evidence: Evidence, tail: [String]) -> Cause {
    switch evidence.outcome {
    case .spawnFailed(.launcher): .launcher
    case .spawnFailed(.host): .hostResource
    case .spawnFailed(.invalid): .invalidSpecification
    case .notStarted(let step, let errno): startFailure(step, errno, evidence.executable)
    case .exited(let code) where code == 127 || code == 126: loaderFailure(code, evidence.executable, tail)
    case .exited(let code): .exit(code)
    case .signaled(SIGKILL, sentByHost: false) where evidence.oomKillSeen: .outOfMemory
    case .signaled(_, sentByHost: true): .endedByHost
    case .signaled(SIGXFSZ, sentByHost: false): .fileTooLarge
    case .signaled(let signal, sentByHost: false): .signal(signal)
    case .monitorLost: .monitorLost
    }
  }

  private static func startFailure(_ step: ProcessStatusRecord.Step, _ errno: Int32, _ facts: ExecutableFacts?) -> Cause
  {
    switch step {
    case .directory: return errno == EACCES ? .permission : .missingWorkingDirectory
    case .limits: return .limits
    case .fork: return .hostResource
    case .process: return .other(errno: errno)
    case .sandbox: return errno == ENOSYS ? .noSandbox : .other(errno: errno)
    case .pin: return .replaced
    case .exec: break
    }
    switch errno {
    case ENOENT: return missingFile(facts)
    case EACCES:
      guard let facts, facts.exists else { return .permission }
      return facts.isRegularFile && facts.isExecutable ? .permission : .notExecutable
    case ENOEXEC: return unknownFormat(facts)
    case ETXTBSY: return .textBusy
    // The kernel understood the file but not the machine or the loader that it names.
    case ELIBBAD, EINVAL: return unknownFormat(facts)
    case ENOMEM, EAGAIN: return .hostResource
    default: return .other(errno: errno)
    }
  }

  /// ENOENT of an existing file means what the file itself asks for: the loader or the interpreter.
  private static func missingFile(_ facts: ExecutableFacts?) -> Cause {
    guard let facts, facts.exists else { return .missingExecutable }
    switch facts.format {
    case .elf(let machine, let bits, _) where machine != ExecutableFormat.hostMachine: return foreign(machine, bits)
    case .elf(_, _, let loader?): return .missingInterpreter(loader)
    case .script(let interpreter, _): return .missingInterpreter(interpreter)
    default: return .missingExecutable
    }
  }

  private static func unknownFormat(_ facts: ExecutableFacts?) -> Cause {
    switch facts?.format {
    case .elf(let machine, let bits, _) where machine != ExecutableFormat.hostMachine: foreign(machine, bits)
    case .foreign(let system): .wrongArchitecture(built: system, machine: "Linux")
    default: .notAProgram
    }
  }

  private static func foreign(_ machine: UInt16, _ bits: Int) -> Cause {
    .wrongArchitecture(
      built: ExecutableFormat.machineName(machine, bits: bits),
      machine: ExecutableFormat.machineName(ExecutableFormat.hostMachine, bits: 64))
  }

  /// 127 is how the dynamic loader, env and shells say that something was not found. They say what on stderr.
  private static func loaderFailure(_ code: Int32, _ facts: ExecutableFacts?, _ tail: [String]) -> Cause {
    let marker = "error while loading shared libraries: "
    for line in tail.reversed() {
      guard let range = line.firstRange(of: marker) else { continue }
      return .missingSharedLibrary(String(line[range.upperBound...].prefix { $0 != ":" }))
    }
    // "#!/usr/bin/env NAME": env starts, and then does not find NAME.
    if code == 127, case .script(let interpreter, let argument?) = facts?.format, interpreter.hasSuffix("/env"),
      let name = argument.split(separator: " ").first(where: { !$0.hasPrefix("-") && !$0.contains("=") }),
      tail.contains(where: { $0.hasPrefix("env:") || $0.contains("/env:") })
    {
      return .missingInterpreter(String(name))
    }
    return .exit(code)
  }
}
