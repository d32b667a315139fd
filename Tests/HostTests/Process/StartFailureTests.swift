import Foundation
import Testing

@testable import Host

/// Every way in which a program fails to start has a name of its own.
@Suite struct StartFailureTests {
  /// Starts a command that must fail and returns the diagnosis.
  private func diagnosis(_ command: [String], directory: String) async throws -> ExitDiagnosis {
    let engine = try await EngineUnderTest.start(command, directory: directory)
    var record = try await engine.record()
    if case .started = record { record = try await engine.record() }
    let outcome: ProcessOutcome
    switch record {
    case .failed(let step, let errno):
      outcome = .notStarted(step: step, errno: errno)
    case .exited(let code, _): outcome = .exited(code: code)
    default: throw DeadlineMissed(awaited: "a failure, not \(record),")
    }
    let tail = try await engine.lines(engine.process.stderr)
    let (last, end) = try await engine.finish()
    #expect(last == .swept(removed: 0, left: 0))
    #expect(end == .exited(0))
    let facts = ExecutableFacts.inspect(
      command: command[0], searchPath: "/usr/local/bin:/usr/bin:/bin", workingDirectory: directory)
    return ExitDiagnosis(
      .init(
        outcome: outcome, command: command, workingDirectory: directory, executable: facts, stderrTail: tail))
  }

  private func file(_ directory: String, _ content: [UInt8], mode: mode_t = 0o755) throws {
    try Data(content).write(to: URL(filePath: "\(directory)/engine"))
    chmod("\(directory)/engine", mode)
  }

  private func cause(of content: [UInt8], mode: mode_t = 0o755) async throws -> ExitDiagnosis.Cause {
    try await withProcessDirectory { directory in
      try file(directory, content, mode: mode)
      return try await diagnosis(["./engine"], directory: directory).cause
    }
  }

  /// The smallest header of a program for a 64-bit machine.
  private func program(machine: UInt8) -> [UInt8] {
    var header: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 57)
    header[16] = 2
    header[18] = machine
    header[20] = 1
    header[54] = 56
    return header
  }

  @Test func missingExecutable() async throws {
    try await withProcessDirectory { directory in
      let found = try await diagnosis(["./engine"], directory: directory)
      #expect(found.cause == .missingExecutable)
      #expect(found.sentence.contains("./engine"))
      #expect(try await diagnosis(["no-such-program-anywhere"], directory: directory).cause == .missingExecutable)
    }
  }

  @Test func notExecutable() async throws {
    #expect(try await cause(of: Array("#!/bin/sh\n".utf8), mode: 0o644) == .notExecutable)
  }

  @Test func aDirectoryIsNotExecutable() async throws {
    try await withProcessDirectory { directory in
      mkdir("\(directory)/engine", 0o755)
      let found = try await diagnosis(["./engine"], directory: directory)
      #expect(found.cause == .notExecutable)
    }
  }

  @Test func wrongArchitecture() async throws {
    let (machine, name): (UInt8, String) = ExecutableFormat.hostMachine == 183 ? (62, "x86_64") : (183, "aarch64")
    let host = ExecutableFormat.machineName(ExecutableFormat.hostMachine, bits: 64)
    #expect(try await cause(of: program(machine: machine)) == .wrongArchitecture(built: name, machine: host))
  }

  @Test func neitherProgramNorScript() async throws {
    #expect(try await cause(of: Array("echo I have no first line\n".utf8)) == .notAProgram)
    #expect(try await cause(of: []) == .notAProgram)
  }

  @Test func missingInterpreterOfAScript() async throws {
    let script = Array("#!/nowhere/python9 -u\nprint(1)\n".utf8)
    #expect(try await cause(of: script) == .missingInterpreter("/nowhere/python9"))
  }

  @Test func missingInterpreterBehindEnv() async throws {
    #expect(try await cause(of: Array("#!/usr/bin/env python9\n".utf8)) == .missingInterpreter("python9"))
  }

  @Test func missingLoaderOfAProgram() async throws {
    // A real program whose loader's name is changed.
    try await withProcessDirectory { directory in
      let original = try Data(contentsOf: URL(filePath: "/bin/true"))
      guard case .elf(_, _, let loader?) = ExecutableFormat(head: Array(original.prefix(16384))) else {
        Issue.record("/bin/true is not a dynamic program")
        return
      }
      let renamed = loader.replacing("/ld-", with: "/xx-")
      try file(directory, Array(original.replacing(loader.utf8, with: renamed.utf8)))
      #expect(try await diagnosis(["./engine"], directory: directory).cause == .missingInterpreter(renamed))
    }
  }

  @Test func missingSharedLibrary() async throws {
    try await withProcessDirectory { directory in
      let original = try Data(contentsOf: URL(filePath: "/bin/true"))
      try file(directory, Array(original.replacing("libc.so.6".utf8, with: "libq.so.6".utf8)))
      let found = try await diagnosis(["./engine"], directory: directory)
      #expect(found.cause == .missingSharedLibrary("libq.so.6"))
      #expect(found.sentence.contains("libq.so.6"))
    }
  }

  @Test func missingWorkingDirectory() async throws {
    #expect(try await diagnosis(["true"], directory: "/nowhere/at/all").cause == .missingWorkingDirectory)
    #expect(try await diagnosis(["true"], directory: "/bin/sh").cause == .missingWorkingDirectory)
  }

  @Test func busyText() async throws {
    try await withProcessDirectory { directory in
      try file(directory, Array(try Data(contentsOf: URL(filePath: "/bin/true"))))
      let writer = open("\(directory)/engine", O_WRONLY | O_CLOEXEC)
      defer { close(writer) }
      #expect(try await diagnosis(["./engine"], directory: directory).cause == .textBusy)
    }
  }

  @Test func aLimitThatCannotBeSet() async throws {
    let engine = try await EngineUnderTest.start(["true"], limits: .init(openFiles: UInt64(Int64.max)))
    guard case .failed(step: .limits, errno: EPERM) = try await engine.record() else {
      Issue.record("an impossible limit must be reported")
      return
    }
    try await engine.finish()
  }
}
