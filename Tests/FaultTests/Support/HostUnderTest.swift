import CLinux
import Foundation
import Glibc
import Host
import PluginProtocol
import Synchronization
import Testing

/// A whole worker in a process of its own, which may be killed at any moment.
final class HostUnderTest: Sendable {
  /// How the process ended.
  enum End: Sendable, Equatable {
    case exited(Int32)
    case signaled(Int32)
  }

  let home: TestHome
  let pid: Int32
  let connection: SocketConnection
  private let pidfd: Int32
  /// The worker ends when this closes, so that none outlives the tests.
  private let leash: Int32
  private let output: Int32
  private let end = Mutex<End?>(nil)

  /// Starts a worker on the home; returns before it takes jobs.
  init(_ home: TestHome) throws {
    self.home = home
    connection = SocketConnection(path: home.socket)
    var input: [Int32] = [-1, -1]
    var output: [Int32] = [-1, -1]
    try #require(linux_pipe(&input) == 0 && linux_pipe(&output) == 0)
    let log = open(home.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    try #require(log >= 0)
    defer { for descriptor in [input[0], output[1], log] { close(descriptor) } }
    let arguments = [Products.path("worker-helper"), home.path, Products.path("launch")]
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    pid = linux_spawn(arguments[0], &words, &environment, [input[0], output[1], log], 3)
    try #require(pid > 0, "the worker could not be started: error \(-pid)")
    pidfd = linux_pidfd_open(pid)
    leash = input[1]
    self.output = output[0]
    _ = linux_set_nonblocking(output[0], 1)
  }

  deinit {
    if end.withLock({ $0 == nil }) {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    for descriptor in [pidfd, leash, output] { close(descriptor) }
  }

  /// Starts a worker and waits until it takes jobs.
  static func start(_ home: TestHome) async throws -> HostUnderTest {
    let host = try HostUnderTest(home)
    try await host.ready()
    return host
  }

  /// Waits until it takes jobs.
  func ready() async throws {
    var said = ""
    try await until("the worker's start") {
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = read(output, &buffer, buffer.count)
      if count > 0 { said += String(decoding: buffer[..<count], as: UTF8.self) }
      if count == 0 { throw WorkerFailed(said: said, log: home.hostLog) }
      return said.contains("ready\n")
    }
  }

  /// Sends a signal to the worker alone.
  func signal(_ number: Int32) { kill(pid, number) }

  /// How it ended; nil while it runs.
  func reap() -> End? {
    end.withLock { end in
      if end == nil {
        var signaled: Int32 = 0
        var status: Int32 = 0
        if linux_pidfd_reap(pidfd, &signaled, &status) == 1 {
          end = signaled != 0 ? .signaled(status) : .exited(status)
        }
      }
      return end
    }
  }

  /// Waits for its end.
  @discardableResult
  func ended(within limit: Duration = patience) async throws -> (end: End, after: Duration) {
    let (end, after) = try await until("the worker's end", within: limit) { reap() }
    return (end, after)
  }

  /// Kills it as nothing else can.
  func killAtOnce() async throws {
    signal(SIGKILL)
    try await ended()
  }

  var census: Census { Census(host: pid, home: home) }

  // MARK: Control

  func call(_ method: String, _ params: JSONValue = [:]) async throws -> JSONValue {
    let connection = connection
    return try await limited("the answer to \(method)") { try await connection.call(method, params) }
  }

  /// Submits a job and returns its id.
  func submit(
    _ plugin: ChaosPlugin, _ task: JSONValue = [:], key: String? = nil
  ) async throws -> String {
    let answer = try await call(
      "jobs/submit",
      .compact(["kind": "llm", "model": .string(plugin.model), "task": task, "idempotencyKey": JSONValue(key)]))
    return try #require(answer["job"]?["id"]?.string)
  }

  func job(_ id: String) async throws -> JobSeen {
    JobSeen(try #require(try await call("jobs/get", ["id": .string(id)])["job"]))
  }

  /// Waits for a job's terminal state by watching it.
  func finished(_ id: String, within limit: Duration = patience) async throws -> JobSeen {
    let connection = connection
    let answer = try await limited("the end of job \(id)", limit) {
      try await connection.call("jobs/watch", ["id": .string(id)], onEvent: nil)
    }
    return JobSeen(try #require(answer["job"]))
  }

  /// Waits until a job satisfies a condition.
  @discardableResult
  func seen(
    _ awaited: String, _ id: String, within limit: Duration = patience, _ holds: (JobSeen) -> Bool
  ) async throws -> (value: JobSeen, after: Duration) {
    try await until(awaited, within: limit) {
      let job = try await job(id)
      return holds(job) ? job : nil
    }
  }

  /// A plugin as `plugins/list` shows it; nil when there is none of that name.
  func plugin(_ name: String) async throws -> JSONValue? {
    try await call("plugins/list")["plugins"]?.array?.first { $0["name"]?.string == name }
  }

  /// The engine process of a plugin, once it is ready.
  func engine(_ name: String) async throws -> Int32? {
    guard let process = try await plugin(name)?["processes"]?.array?.first, process["state"]?.string != "starting"
    else { return nil }
    return process["pid"]?.int.map(Int32.init)
  }
}

/// The worker did not start.
struct WorkerFailed: Error, CustomStringConvertible {
  let said: String
  let log: String
  var description: String { "the worker did not start: \(said)\n\(log)" }
}

/// A job as the worker shows it.
struct JobSeen: Sendable, CustomStringConvertible {
  let json: JSONValue

  init(_ json: JSONValue) { self.json = json }

  var description: String { json.prettyText }
  var state: String { json["state"]?.string ?? "" }
  var isTerminal: Bool { JobState(rawValue: state)?.isTerminal ?? false }
  var attempts: [JSONValue] { json["attempts"]?.array ?? [] }
  var outcomes: [String] { attempts.map { $0["outcome"]?.string ?? "" } }
  var errorClass: String? { json["error"]?["class"]?.string }
  var errorMessage: String { json["error"]?["message"]?.string ?? "" }
  var evidence: String { json["error"]?["evidence"]?.text ?? "" }
  /// Why the first attempt ended.
  var firstLoss: String { attempts.first?["error"]?["message"]?.string ?? "" }
}
