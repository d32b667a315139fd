import Foundation
import Testing

@testable import Host

@Suite struct MemoryMeasureTests {
  private static let size: UInt64 = 64 << 20
  /// What an interpreter may need beside, twice.
  private static let slack: UInt64 = 48 << 20

  @Test func countsWhatAProcessHasTouched() throws {
    let process = try HelperProcess([
      "python3", "-c",
      """
      import mmap, os, sys
      untouched = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
      held = bytearray(os.urandom(1 << 20) * 64)
      print(os.getpid(), flush=True)
      sys.stdin.read()
      """,
    ])
    let pid = try #require(Int32(process.firstLine()))
    let memory = try #require(ProcessMemory.measure(engine: pid))
    #expect(memory.anonymousBytes > Self.size && memory.anonymousBytes < Self.size + Self.slack)
    #expect(memory.processes == 1 && memory.residentBytes == memory.anonymousBytes + memory.fileBytes)
    let status = try #require(readSmallFile("/proc/\(pid)/status"))
    let coarse = try #require(ProcessMemory.parse(status: status))
    #expect(!coarse.isProportional && coarse.anonymousBytes > Self.size)
    // The kernel's own count of resident pages is an independent witness.
    let resident = try #require(ProcessTable.residentBytes(pid))
    #expect(memory.residentBytes <= resident + (4 << 20) && resident > Self.size)
    process.closeInput()
    process.wait()
    #expect(ProcessMemory.measure(engine: pid) == nil)
  }

  @Test func aMappedFileIsKeptApart() throws {
    let machine = try FakeMachine()
    let process = try HelperProcess([
      "python3", "-c",
      """
      import mmap, os, sys
      with open(sys.argv[1], "wb") as file: file.write(os.urandom(1 << 20) * 64)
      file = open(sys.argv[1], "rb")
      model = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
      total = sum(model[at] for at in range(0, len(model), 4096))
      print(os.getpid(), flush=True)
      sys.stdin.read()
      """, machine.path + "/model",
    ])
    let pid = try #require(Int32(process.firstLine()))
    let memory = try #require(ProcessMemory.measure(engine: pid))
    #expect(memory.fileBytes >= Self.size && memory.fileBytes < Self.size + Self.slack)
    #expect(memory.anonymousBytes < Self.slack)
  }

  @Test func childrenAndOrphansOfTheSessionCount() throws {
    let process = try HelperProcess([
      "python3", "-c",
      """
      import os, sys, time
      os.setsid()
      read, write = os.pipe()
      def child(depth):
        held = bytearray(os.urandom(1 << 20) * 16)
        os.write(write, b"%d\\n" % os.getpid())
        while os.getppid() != 0 and len(held): time.sleep(1000)
      if os.fork() == 0: child(1)
      middle = os.fork()
      if middle == 0:
        if os.fork() == 0: child(2)
        os._exit(0)
      os.waitpid(middle, 0)
      with os.fdopen(read) as lines: pids = [lines.readline().strip() for _ in range(2)]
      print(os.getpid(), *pids, flush=True)
      sys.stdin.read()
      os.killpg(0, 9)
      """,
    ])
    let pids = process.firstLine().split(separator: " ").compactMap { Int32($0) }
    try #require(pids.count == 3)
    defer { kill(-pids[0], SIGKILL) }
    #expect(ProcessMemory.processes(ofEngine: pids[0]) == Set(pids))
    let memory = try #require(ProcessMemory.measure(engine: pids[0]))
    #expect(memory.processes == 3)
    #expect(memory.anonymousBytes > 32 << 20 && memory.anonymousBytes < (32 << 20) + 2 * Self.slack)
  }

  @Test func readsTheKernelsFiles() throws {
    let rollup = """
      559109ea9000-7ffd81452000 ---p 00000000 00:00 0                          [rollup]
      Rss:                1760 kB
      Pss:                 375 kB
      Pss_Anon:            112 kB
      Pss_File:            263 kB
      Pss_Shmem:            10 kB
      Anonymous:           112 kB
      """
    let memory = try #require(ProcessMemory.parse(rollup: Array(rollup.utf8)))
    #expect(memory.anonymousBytes == 122 << 10 && memory.fileBytes == 263 << 10 && memory.isProportional)
    let status =
      "Name:\tx kB y\nVmRSS:\t    1000 kB\nRssAnon:\t     700 kB\nRssFile:\t     250 kB\nRssShmem:\t      50 kB\n"
    let coarse = try #require(ProcessMemory.parse(status: Array(status.utf8)))
    #expect(coarse.anonymousBytes == 750 << 10 && coarse.fileBytes == 250 << 10 && !coarse.isProportional)
    for text in ["", "Name:\tzombie\nState:\tZ (zombie)\n", "Pss_Anon: 99999999999999999999 kB\nPss_File: 1 kB\n"] {
      #expect(ProcessMemory.parse(rollup: Array(text.utf8)) == nil)
      #expect(ProcessMemory.parse(status: Array(text.utf8)) == nil)
    }
  }

  @Test func thisMachineHasMemory() throws {
    let memory = try #require(SystemMemory.read())
    #expect(memory.availableBytes > 0 && memory.availableBytes <= memory.totalBytes && memory.totalBytes > 256 << 20)
  }

  @Test func theNearestLimitDecides() throws {
    let machine = try FakeMachine()
    let read = { SystemMemory.read(proc: machine.proc, cgroups: machine.path + "/cgroup") }
    #expect(read() == nil)
    try machine.write("MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:   8388608 kB\n", to: "proc/meminfo")
    let free = SystemMemory(totalBytes: 16 << 30, availableBytes: 8 << 30, boundedBy: nil)
    #expect(read() == free)
    try machine.write("12:memory:/old\n0::/outer/inner\n", to: "proc/self/cgroup")
    #expect(read() == free)

    try group(machine, "outer/inner", max: "max", current: 5 << 30, inactive: 0)
    try group(machine, "outer", max: "\(6 << 30)", current: 5 << 30, inactive: 2 << 30)
    try group(machine, ".", max: "\(12 << 30)", current: 8 << 30, inactive: 0)
    let outer = machine.path + "/cgroup/outer"
    #expect(read() == SystemMemory(totalBytes: 6 << 30, availableBytes: 3 << 30, boundedBy: outer))
  }

  @Test func theSoftLimitAndAFullGroupCount() throws {
    let machine = try FakeMachine()
    try machine.write("MemTotal:  16777216 kB\nMemAvailable:   8388608 kB\n", to: "proc/meminfo")
    try machine.write("0::/\n", to: "proc/self/cgroup")
    try group(machine, ".", max: "\(6 << 30)", current: 1 << 30, inactive: 4 << 30)
    try machine.write("\(2 << 30)\n", to: "cgroup/memory.high")
    let root = machine.path + "/cgroup"
    let read = { SystemMemory.read(proc: machine.proc, cgroups: root) }
    #expect(read() == SystemMemory(totalBytes: 2 << 30, availableBytes: 2 << 30, boundedBy: root))
    try group(machine, ".", max: "\(6 << 30)", current: 7 << 30, inactive: 0)
    #expect(read() == SystemMemory(totalBytes: 2 << 30, availableBytes: 0, boundedBy: root))
    try machine.write("0::/../../etc\n", to: "proc/self/cgroup")
    #expect(read()?.boundedBy == root)
  }

  private func group(_ machine: FakeMachine, _ name: String, max: String, current: Int, inactive: Int) throws {
    try machine.write(max + "\n", to: "cgroup/\(name)/memory.max")
    try machine.write("\(current)\n", to: "cgroup/\(name)/memory.current")
    try machine.write("anon 1\ninactive_file \(inactive)\nactive_file 7\n", to: "cgroup/\(name)/memory.stat")
  }
}
