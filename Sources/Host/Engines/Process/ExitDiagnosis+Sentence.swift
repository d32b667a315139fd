extension ExitDiagnosis {
  static func sentence(_ cause: Cause, _ evidence: Evidence) -> String {
    if case .spawnFailed(let error) = evidence.outcome { return error.description }
    let command = quoted(evidence.command)
    let program = evidence.executable?.path ?? evidence.command.first ?? ""
    switch cause {
    case .launcher, .invalidSpecification:
      return "\(command) could not be started"
    case .hostResource:
      return "\(command) could not be started: this machine is out of processes or memory\(reason(evidence))"
    case .missingExecutable:
      return "\(command) could not be started: there is no \(quoted([program])); check the plugin's command"
    case .notExecutable:
      return
        "\(command) could not be started: \(quoted([program])) is not executable; try chmod +x \(shellWord(program))"
    case .wrongArchitecture(let built, let machine):
      return
        "\(command) could not be started: \(quoted([program])) was built for \(built), but this machine is \(machine); install the build for \(machine)"
    case .notAProgram:
      return
        "\(command) could not be started: \(quoted([program])) is neither a program nor a script; a script must begin with a #! line"
    case .missingInterpreter(let name):
      return "\(command) could not be started: its interpreter \(quoted([name])) is missing\(hint(interpreter: name))"
    case .missingSharedLibrary(let name):
      return "\(command) could not be started: the shared library \(name) is missing; install the package that has it"
    case .missingWorkingDirectory:
      return
        "\(command) could not be started: its working directory \(quoted([evidence.workingDirectory ?? "."])) cannot be entered\(reason(evidence))"
    case .permission:
      return "\(command) could not be started: the user that runs the host may not execute it or enter its directory"
    case .textBusy:
      return
        "\(command) could not be started: \(quoted([program])) is being written; try again when the copy is complete"
    case .limits:
      return
        "\(command) could not be started: its resource limits cannot be set\(reason(evidence)); lower them in the configuration"
    case .noSandbox:
      return
        "\(command) was not started: the sandbox that is required needs Landlock and seccomp, and this kernel, or the container around the worker, lacks one; use Linux 5.13 or newer, or set its sandbox mode to enforce"
    case .replaced:
      return
        "\(command) was not started: \(quoted([program])) is no longer the file whose sha256 was checked; put the right program back"
    case .fileTooLarge:
      return "\(command) was ended because it wrote a file larger than jobs.maxWorkBytes allows"
    case .outOfMemory:
      return
        "\(command) was killed by the kernel because memory ran out; use a smaller model or fewer engines at a time"
    case .signal(let signal):
      return "\(command) was killed by \(SignalNames.description(signal))"
    case .endedByHost:
      return "\(command) was ended by the host"
    case .monitorLost:
      return "\(command) was ended because its monitor was killed from outside"
    case .exit(let code):
      return "\(command) left with exit status \(code)"
    case .other:
      return "\(command) could not be started\(reason(evidence))"
    }
  }

  private static func reason(_ evidence: Evidence) -> String {
    guard case .notStarted(_, let errno) = evidence.outcome else { return "" }
    return " (\(errorText(errno)))"
  }

  private static func hint(interpreter: String) -> String {
    if interpreter.hasSuffix("\r") {
      return " because the script has Windows line ends; convert it with sed -i 's/\\r$//'"
    }
    return "; install it or correct the first line of the script"
  }

  /// The command as one would type it, cut to a length that leaves room for the rest, with nothing a terminal would obey.
  private static func quoted(_ command: [String]) -> String {
    let limit = 200
    let text = command.map(shellWord).joined(separator: " ")
    return text.count > limit ? "\(text.prefix(limit))…" : text
  }

  private static func shellWord(_ word: String) -> String {
    let clean = String(
      String.UnicodeScalarView(
        word.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "?" : $0 }))
    let isPlain = clean.unicodeScalars.allSatisfy { scalar in
      scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "/._-+=:,@%".unicodeScalars.contains(scalar)
    }
    return isPlain && !clean.isEmpty ? clean : "'\(clean.replacing("'", with: "'\\''"))'"
  }
}
