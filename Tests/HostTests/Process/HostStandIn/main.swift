// A host of its own process, for tests that kill a host or count what a host has open.
//
//   HostStandIn engines LAUNCH COUNT COMMAND...   starts engines, prints "MONITOR ENGINE" for each, waits to be killed
//   HostStandIn cycles LAUNCH COUNT WARMUP        starts and ends engines one after the other, prints what it has open
//   HostStandIn signals                           prints "ready", then each signal it is told, three in all

import Glibc
import Host

let arguments = Array(CommandLine.arguments.dropFirst())

func record(_ process: SpawnedProcess, _ parser: inout ProcessStatusParser) throws -> ProcessStatusRecord? {
  while true {
    var item = pollfd(fd: process.status, events: Int16(POLLIN), revents: 0)
    poll(&item, 1, -1)
    let read = try process.readStatus(&parser)
    if let first = read.records.first { return first }
    if read.ended { return nil }
  }
}

func say(_ line: String) {
  print(line)
  fflush(nil)
}

func engines(launch: String, count: Int, command: [String]) async throws {
  var processes: [SpawnedProcess] = []
  for _ in 0..<count {
    let spec = ProcessSpec(launcher: launch, command: command, environment: ["PATH": "/usr/local/bin:/usr/bin:/bin"])
    let process = try await ProcessSpawner().spawn(spec)
    var parser = ProcessStatusParser()
    guard case .started(let pid, _) = try record(process, &parser) else { exit(1) }
    say("\(process.monitorPID) \(pid)")
    processes.append(process)
  }
  say("ready")
  while true { pause() }
}

/// Open descriptors, threads, children and resident bytes of this process.
func footprint() -> String {
  let descriptors = (0..<1024).filter { fcntl($0, F_GETFD) >= 0 }.count
  var threads = 0
  if let directory = opendir("/proc/self/task") {
    while readdir(directory) != nil { threads += 1 }
    closedir(directory)
  }
  let children = ProcessTable.children(of: getpid()).count
  return "\(descriptors) \(threads) \(children) \(ProcessTable.residentBytes(getpid()) ?? 0)"
}

func cycle(launch: String) async throws -> Int64 {
  let clock = SystemHostClock()
  let spec = ProcessSpec(launcher: launch, command: ["/bin/true"], environment: [:])
  let begin = clock.now()
  let process = try await ProcessSpawner().spawn(spec)
  var parser = ProcessStatusParser()
  _ = try record(process, &parser)
  let latency = begin.duration(to: clock.now()).saturatedNanoseconds / 1000
  process.close(.control)
  var item = pollfd(fd: process.monitorPIDFD, events: Int16(POLLIN), revents: 0)
  poll(&item, 1, -1)
  _ = process.reapMonitor()
  return latency
}

func cycles(launch: String, count: Int, warmup: Int) async throws {
  for _ in 0..<warmup { _ = try await cycle(launch: launch) }
  say(footprint())
  var latencies: [Int64] = []
  for _ in 0..<count { latencies.append(try await cycle(launch: launch)) }
  say(footprint())
  say("\(latencies.sorted()[count / 2])")
}

switch arguments.first {
case "engines": try await engines(launch: arguments[1], count: Int(arguments[2]) ?? 0, command: Array(arguments[3...]))
case "cycles": try await cycles(launch: arguments[1], count: Int(arguments[2]) ?? 0, warmup: Int(arguments[3]) ?? 0)
case "signals":
  let signals = try TerminationSignals.stream()
  say("ready")
  var seen = 0
  for await signal in signals {
    say(SignalNames.name(signal))
    seen += 1
    if seen == 3 { break }
  }
default: exit(64)
}
