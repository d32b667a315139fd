import Foundation
import Testing

@testable import Host

/// What an engine finds when it starts.
@Suite struct LaunchTests {
  @Test(arguments: [0, 1, 77, 255] as [Int32]) func exitStatusIsReported(code: Int32) async throws {
    let engine = try await EngineUnderTest.start(["sh", "-c", "exit \(code)"])
    _ = try await engine.started()
    guard case .exited(code, let memory) = try await engine.record() else {
      Issue.record("no exit status \(code)")
      return
    }
    #expect(memory > 100_000)
    let (last, end) = try await engine.finish()
    #expect(last == .swept(removed: 0, left: 0))
    #expect(end == .exited(0))
    #expect(engine.process.reapMonitor() == .exited(0))
  }

  @Test func theWireIsThePipes() async throws {
    let engine = try await EngineUnderTest.start(["sh", "-c", "read word; echo out $word; echo err $word >&2"])
    _ = try await engine.started()
    #expect(write(engine.process.stdin, "hello\n", 6) == 6)
    #expect(try await engine.lines() == ["out hello"])
    #expect(try await engine.lines(engine.process.stderr) == ["err hello"])
    try await engine.finish()
  }

  @Test func theEnvironmentIsExactlyWhatWasGiven() async throws {
    setenv("STOKER_TEST_SECRET", "must not be seen", 1)
    let environment = ["PATH": "/usr/bin:/bin", "EMPTY": "", "UTF8": "äöü", "LINES": "a\nb", "EQUALS": "a=b"]
    let engine = try await EngineUnderTest.start(
      [
        "python3", "-c",
        "import sys; print(open('/proc/self/environ').read().replace(chr(10), '|').replace(chr(0), chr(10)))",
      ],
      environment: environment)
    #expect(
      Set(try await engine.lines().filter { !$0.isEmpty })
        == ["PATH=/usr/bin:/bin", "EMPTY=", "UTF8=äöü", "LINES=a|b", "EQUALS=a=b"])
    try await engine.finish()
  }

  @Test func theProcessIsPrepared() async throws {
    try await withProcessDirectory { directory in
      let engine = try await EngineUnderTest.start(
        ["cat", "/proc/self/status", "/proc/self/stat"], directory: directory)
      let pid = try await engine.started()
      let lines = try await engine.lines()
      func field(_ name: String) -> String? {
        lines.first { $0.hasPrefix("\(name):") }?.split(separator: "\t").last.map(String.init)
      }
      #expect(field("NoNewPrivs") == "1")
      #expect(field("SigBlk") == "0000000000000000")
      #expect(field("SigIgn") == "0000000000000000")
      #expect(field("SigCgt") == "0000000000000000")
      #expect(field("Umask") == "0077")
      #expect(field("PPid") == String(engine.process.monitorPID))
      let stat = try #require(ProcessTable.parse(Array((lines.last ?? "").utf8)))
      #expect(stat.group == pid)
      #expect(stat.session == engine.process.monitorPID)
      try await engine.finish()
    }
  }

  @Test func onlyTheThreeStandardDescriptorsAreOpen() async throws {
    // A descriptor that some library of the host forgot to mark.
    let careless = open("/dev/null", O_RDONLY)
    defer { close(careless) }
    let engine = try await EngineUnderTest.python(
      "import os; print([fd for fd in range(1024) if os.path.exists(f'/proc/self/fd/{fd}')])")
    #expect(try await engine.lines() == ["[0, 1, 2]"])
    try await engine.finish()
  }

  @Test func theWorkingDirectoryIsEnteredAndCommandsAreRelativeToIt() async throws {
    try await withProcessDirectory { directory in
      try "#!/bin/sh\npwd -P\n".write(toFile: "\(directory)/engine", atomically: true, encoding: .utf8)
      chmod("\(directory)/engine", 0o700)
      let engine = try await EngineUnderTest.start(["./engine"], directory: directory)
      let real = try #require(realpath(directory, nil))
      defer { free(real) }
      #expect(try await engine.lines() == [String(cString: real)])
      try await engine.finish()
    }
  }

  @Test func limitsAreApplied() async throws {
    let limits = ProcessSpec.Limits(
      openFiles: 77, addressSpaceBytes: 8 << 30, processes: 4321, fileSizeBytes: 12_345_678)
    let engine = try await EngineUnderTest.start(["cat", "/proc/self/limits"], limits: limits)
    let lines = try await engine.lines()
    func limit(_ name: String) -> [Substring] {
      lines.first { $0.hasPrefix(name) }?.dropFirst(name.count).split(separator: " ").prefix(2).map { $0 } ?? []
    }
    #expect(limit("Max open files") == ["77", "77"])
    #expect(limit("Max address space") == ["8589934592", "8589934592"])
    #expect(limit("Max file size") == ["12345678", "12345678"])
    #expect(limit("Max core file size") == ["0", "0"])
    try await engine.finish()
  }

  @Test func descriptorsOfTheEngineAreBounded() async throws {
    let engine = try await EngineUnderTest.start(
      [
        "python3", "-c",
        "files = []\ntry:\n  while True: files.append(open('/dev/null'))\nexcept OSError as e: print(e.errno, len(files) < 64)",
      ],
      limits: .init(openFiles: 64))
    #expect(try await engine.lines() == ["\(EMFILE) True"])
    try await engine.finish()
  }

  @Test func theMonitorDoesNotHoldTheWire() async throws {
    // The engine closes its output and lives: the host must see the end of it.
    let engine = try await EngineUnderTest.python(
      "import os, sys\nos.close(1); os.close(2)\nsys.stdin.read()")
    let pid = try await engine.started()
    #expect(try await engine.lines() == [])
    #expect(try await engine.lines(engine.process.stderr) == [])
    #expect(ProcessTable.isAlive(pid))
    try await engine.finish()
  }

  @Test func anotherEngineCannotHoldThisOnesInput() async throws {
    var engines: [EngineUnderTest] = []
    for _ in 0..<8 { engines.append(try await EngineUnderTest.start(["cat"])) }
    for engine in engines { _ = try await engine.started() }
    for engine in engines {
      engine.process.close(.stdin)
      guard case .exited(0, _) = try await engine.record() else {
        Issue.record("cat did not see the end of its input while the others live")
        continue
      }
    }
    for engine in engines { try await engine.finish() }
  }

  @Test func runByHandItSaysWhatItIs() async throws {
    let engine = try await EngineUnderTest.start([BuiltProducts.launch])
    _ = try await engine.started()
    guard case .exited(64, _) = try await engine.record() else {
      Issue.record("launch without arguments must leave with 64")
      return
    }
    #expect(try await engine.lines(engine.process.stderr).first?.contains("started by the Stoker host") == true)
    try await engine.finish()
  }

  @Test(arguments: [
    ["--parent", "x", "--", "true"], ["--parent", "1"], ["--wrong", "1", "--", "true"], ["--", "true"],
    ["--parent", "1", "--open-files", "-3", "--", "true"], ["--parent", "1", "--open-files", "", "--", "true"],
  ])
  func badOptionsAreRefused(arguments: [String]) async throws {
    let engine = try await EngineUnderTest.start([BuiltProducts.launch] + arguments)
    _ = try await engine.started()
    guard case .exited(64, _) = try await engine.record() else {
      Issue.record("must leave with 64")
      return
    }
    try await engine.finish()
  }

  @Test(arguments: [
    ProcessSpec(launcher: "/x", command: [], environment: [:]),
    ProcessSpec(launcher: "/x", command: [""], environment: [:]),
    ProcessSpec(launcher: "", command: ["a"], environment: [:]),
    ProcessSpec(launcher: "/x", command: ["a", "b\0c"], environment: [:]),
    ProcessSpec(launcher: "/x", command: ["a"], environment: ["": "x"]),
    ProcessSpec(launcher: "/x", command: ["a"], environment: ["A=B": "x"]),
    ProcessSpec(launcher: "/x", command: ["a"], environment: ["A": "x\0y"]),
    ProcessSpec(launcher: "/x", command: ["a"], environment: [:], workingDirectory: "/\0"),
  ])
  func whatCannotBePassedOnIsRefused(spec: ProcessSpec) async throws {
    let error = await #expect(throws: SpawnError.self) { try await ProcessSpawner().spawn(spec) }
    guard case .invalid = error else {
      Issue.record("not refused as invalid: \(String(describing: error))")
      return
    }
  }

  @Test func aMissingLauncherIsNamed() async throws {
    let spec = ProcessSpec(launcher: "/nowhere/launch", command: ["true"], environment: [:])
    await #expect(throws: SpawnError.launcher(path: "/nowhere/launch", errno: ENOENT)) {
      try await ProcessSpawner().spawn(spec)
    }
  }
}
