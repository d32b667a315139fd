import CLinux
import Dispatch
import Foundation
import Synchronization
import Testing

@testable import Host

/// Something that was awaited did not come.
struct DeadlineMissed: Error, CustomStringConvertible {
  let awaited: String
  var description: String { "\(awaited) did not come in time" }
}

/// Where the build put the programs that the tests start.
enum BuiltProducts {
  static func path(_ name: String) -> String {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (tests as NSString).deletingLastPathComponent + "/" + name
  }

  static var launch: String { path("launch") }
}

/// Runs blocking work on a thread that no task waits for.
func offPool<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    let thread = Thread { continuation.resume(with: Result(catching: body)) }
    thread.start()
  }
}

/// A directory for one test, gone afterwards.
func withProcessDirectory<Value>(_ body: (String) async throws -> Value) async throws -> Value {
  let directory = NSTemporaryDirectory() + "process-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: directory) }
  return try await body(directory)
}

/// An engine under test.
final class EngineUnderTest: Sendable {
  /// Generous: a loaded machine is slow, and nothing here takes long when it works.
  static let patience = Duration.seconds(20)

  let process: SpawnedProcess
  private struct State {
    var parser = ProcessStatusParser()
    var records: [ProcessStatusRecord] = []
    var buffered: [Int32: [UInt8]] = [:]
  }
  private let state = Mutex(State())

  init(_ process: SpawnedProcess) {
    self.process = process
  }

  static func start(
    _ command: [String], environment: [String: String] = [:], directory: String? = nil,
    limits: ProcessSpec.Limits = .init(), leftovers: Leftovers? = nil
  ) async throws -> EngineUnderTest {
    var environment = environment
    if environment["PATH"] == nil { environment["PATH"] = "/usr/local/bin:/usr/bin:/bin" }
    let spec = ProcessSpec(
      launcher: BuiltProducts.launch, command: command, environment: environment, workingDirectory: directory,
      limits: limits)
    return EngineUnderTest(try await ProcessSpawner(leftovers: leftovers).spawn(spec))
  }

  static func python(_ script: String) async throws -> EngineUnderTest {
    try await start(["python3", "-c", script])
  }

  /// The next record of the monitor.
  func record() async throws -> ProcessStatusRecord {
    try await offPool { [self] in
      let deadline = SystemHostClock().now().advanced(by: Self.patience)
      while true {
        if let record = state.withLock({ $0.records.isEmpty ? nil : $0.records.removeFirst() }) { return record }
        try waitReadable(process.status, until: deadline, "a record")
        let ended = try state.withLock { state in
          let read = try process.readStatus(&state.parser)
          state.records += read.records
          return read.ended && state.records.isEmpty
        }
        if ended { throw DeadlineMissed(awaited: "a record before the end of the status pipe") }
      }
    }
  }

  /// The pid of the engine, which must have started.
  func started() async throws -> Int32 {
    let record = try await record()
    guard case .started(let pid, let startTime) = record else {
      throw DeadlineMissed(awaited: "started, not \(record)")
    }
    #expect(startTime > 0)
    return pid
  }

  /// The next line of stdout or stderr, without its LF; nil at the end.
  func line(_ descriptor: Int32? = nil) async throws -> String? {
    let descriptor = descriptor ?? process.stdout
    return try await offPool { [self] in
      let deadline = SystemHostClock().now().advanced(by: Self.patience)
      var bytes = state.withLock { $0.buffered[descriptor] ?? [] }
      while true {
        if let end = bytes.firstIndex(of: 10) {
          let rest = Array(bytes[(end + 1)...])
          state.withLock { $0.buffered[descriptor] = rest }
          return String(decoding: bytes[..<end], as: UTF8.self)
        }
        try waitReadable(descriptor, until: deadline, "a line")
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = read(descriptor, &buffer, buffer.count)
        if count == 0 { return nil }
        if count > 0 { bytes += buffer[..<count] }
      }
    }
  }

  /// All remaining lines until the end.
  func lines(_ descriptor: Int32? = nil) async throws -> [String] {
    var lines: [String] = []
    while let line = try await line(descriptor) { lines.append(line) }
    return lines
  }

  /// Sweeps, and returns what the monitor said last and how it left.
  @discardableResult
  func finish() async throws -> (last: ProcessStatusRecord?, end: SpawnedProcess.MonitorEnd?) {
    process.close(.control)
    try await offPool { [self] in
      try waitReadable(
        process.monitorPIDFD, until: SystemHostClock().now().advanced(by: Self.patience), "its monitor's end")
    }
    let last = try state.withLock { state in
      (state.records + (try process.readStatus(&state.parser).records)).last
    }
    return (last, process.reapMonitor())
  }
}

func waitReadable(_ descriptor: Int32, until deadline: MonotonicInstant, _ awaited: String) throws {
  while true {
    var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let result = poll(&item, 1, SystemHostClock().now().duration(to: deadline).pollMilliseconds)
    if result > 0 { return }
    if result == 0 { throw DeadlineMissed(awaited: awaited) }
  }
}

/// Watches processes by descriptors opened while they live, so that their end is an event and their number cannot be reused.
final class Watched: Sendable {
  private let descriptors: [Int32]

  init(_ pids: [Int32]) throws {
    descriptors = pids.map { linux_pidfd_open($0) }
    if let missing = zip(pids, descriptors).first(where: { $0.1 < 0 }) {
      throw DeadlineMissed(awaited: "process \(missing.0), which should live,")
    }
  }

  deinit { for descriptor in descriptors { close(descriptor) } }

  /// Returns how long it took until none of them ran.
  func gone(within limit: Duration = EngineUnderTest.patience) async throws -> Duration {
    let descriptors = descriptors
    return try await offPool {
      let start = SystemHostClock().now()
      for descriptor in descriptors {
        try waitReadable(descriptor, until: start.advanced(by: limit), "the end of a watched process")
      }
      return start.duration(to: SystemHostClock().now())
    }
  }

  /// Whether all of them still run.
  var allAlive: Bool {
    descriptors.allSatisfy { descriptor in
      var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      return poll(&item, 1, 0) == 0
    }
  }
}
