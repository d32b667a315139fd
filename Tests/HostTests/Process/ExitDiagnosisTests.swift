import Glibc
import Testing

@testable import Host

@Suite struct ExitDiagnosisTests {
  private func diagnose(
    _ outcome: ProcessOutcome, facts: ExecutableFacts? = nil, tail: [String] = [], oom: Bool = false
  ) -> ExitDiagnosis {
    ExitDiagnosis(
      .init(
        outcome: outcome, command: ["./engine", "--fast mode"], workingDirectory: "/plugins/x", executable: facts,
        stderrTail: tail, oomKillSeen: oom))
  }

  @Test func signalsAreNamed() {
    let diagnosis = diagnose(.signaled(signal: SIGSEGV, sentByHost: false))
    #expect(diagnosis.cause == .signal(SIGSEGV))
    #expect(diagnosis.sentence == "./engine '--fast mode' was killed by SIGSEGV (segmentation fault)")
    #expect(diagnose(.signaled(signal: 42, sentByHost: false)).sentence.hasSuffix("killed by signal 42"))
  }

  @Test func aKillForMemoryNeedsEvidenceAndIsNotOurOwn() {
    #expect(diagnose(.signaled(signal: SIGKILL, sentByHost: false), oom: true).cause == .outOfMemory)
    #expect(diagnose(.signaled(signal: SIGKILL, sentByHost: false)).cause == .signal(SIGKILL))
    #expect(diagnose(.signaled(signal: SIGKILL, sentByHost: true), oom: true).cause == .endedByHost)
    #expect(diagnose(.signaled(signal: SIGSEGV, sentByHost: false), oom: true).cause == .signal(SIGSEGV))
  }

  @Test func theTailIsTheLastTwentyLines() {
    let diagnosis = diagnose(.exited(code: 3), tail: (1...50).map(String.init))
    #expect(diagnosis.stderrTail == (31...50).map(String.init))
    #expect(diagnosis.sentence == "./engine '--fast mode' left with exit status 3")
  }

  @Test func aMissingNameBehindEnvIsTheInterpreter() {
    var facts = ExecutableFacts()
    facts.exists = true
    facts.format = .script(interpreter: "/usr/bin/env", argument: "-S python9 -u")
    let tail = ["/usr/bin/env: 'python9': No such file or directory"]
    #expect(diagnose(.exited(code: 127), facts: facts, tail: tail).cause == .missingInterpreter("python9"))
    #expect(diagnose(.exited(code: 127), facts: facts).cause == .exit(127))
    #expect(diagnose(.exited(code: 1), facts: facts, tail: tail).cause == .exit(1))
  }

  @Test func aScriptWithWindowsLineEndsIsToldSo() {
    var facts = ExecutableFacts()
    facts.exists = true
    facts.format = ExecutableFormat(head: Array("#!/bin/sh\r\necho\r\n".utf8))
    let diagnosis = diagnose(.notStarted(step: .exec, errno: ENOENT), facts: facts)
    #expect(diagnosis.cause == .missingInterpreter("/bin/sh\r"))
    #expect(diagnosis.sentence.contains("Windows line ends"))
    #expect(!diagnosis.sentence.contains("\r"))
  }

  @Test(arguments: [
    (ProcessOutcome.notStarted(step: .directory, errno: ENOENT), ExitDiagnosis.Cause.missingWorkingDirectory),
    (.notStarted(step: .directory, errno: EACCES), .permission),
    (.notStarted(step: .limits, errno: EPERM), .limits),
    (.notStarted(step: .fork, errno: EAGAIN), .hostResource),
    (.notStarted(step: .exec, errno: ETXTBSY), .textBusy),
    (.notStarted(step: .exec, errno: ENOENT), .missingExecutable),
    (.notStarted(step: .exec, errno: EACCES), .permission),
    (.notStarted(step: .exec, errno: ENOEXEC), .notAProgram),
    (.notStarted(step: .exec, errno: E2BIG), .other(errno: E2BIG)),
    (.monitorLost, .monitorLost),
    (.spawnFailed(.launcher(path: "/x", errno: ENOENT)), .launcher),
    (.spawnFailed(.host(operation: "making a pipe", errno: EMFILE)), .hostResource),
  ])
  func eachFailureHasACauseAndASentence(outcome: ProcessOutcome, cause: ExitDiagnosis.Cause) {
    let diagnosis = diagnose(outcome)
    #expect(diagnosis.cause == cause)
    #expect(!diagnosis.sentence.isEmpty)
    #expect(!diagnosis.sentence.contains("\n"))
  }

  @Test func aCommandFromOutsideCannotWriteToATerminal() {
    let evidence = ExitDiagnosis.Evidence(
      outcome: .exited(code: 1), command: ["./a\u{1B}[31m\n\u{9B}b", String(repeating: "x", count: 100_000)])
    let sentence = ExitDiagnosis(evidence).sentence
    #expect(sentence.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
    #expect(sentence.count < 300)
  }

  @Test func formatsAreReadFromHostileBytes() {
    #expect(ExecutableFormat(head: []) == .empty)
    #expect(ExecutableFormat(head: Array("hello".utf8)) == .unknown)
    #expect(ExecutableFormat(head: Array("#!\n".utf8)) == .unknown)
    #expect(ExecutableFormat(head: Array("#! /bin/sh -e\n".utf8)) == .script(interpreter: "/bin/sh", argument: "-e"))
    #expect(ExecutableFormat(head: Array("MZ..".utf8)) == .foreign(system: "Windows"))
    #expect(ExecutableFormat(head: [0xCF, 0xFA, 0xED, 0xFE, 1]) == .foreign(system: "macOS"))
    #expect(ExecutableFormat(head: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) == .unknown)
    var elf: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1] + [UInt8](repeating: 0xFF, count: 200)
    elf[18] = 183
    elf[19] = 0
    #expect(ExecutableFormat(head: elf) == .elf(machine: 183, bits: 64, interpreter: nil))
    for length in 0..<elf.count { _ = ExecutableFormat(head: Array(elf[..<length])) }
    for seed in 0..<2000 {
      var bytes = elf
      for index in 4..<64 { bytes[index] = UInt8(truncatingIfNeeded: (seed &* 2_654_435_761 >> (index % 13)) &* index) }
      _ = ExecutableFormat(head: bytes)
    }
  }
}
