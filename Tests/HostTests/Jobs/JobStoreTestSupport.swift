import Dispatch
import Foundation
import Glibc
import PluginProtocol
import Synchronization

@testable import Host

/// Two clocks that move only when told.
final class JobsTestClock: Sendable {
  private struct State {
    var wall: Int64 = 1_700_000_000_000
    var monotonic: Int64 = 5_000_000
  }
  private let state = Mutex(State())

  var clock: JobClock {
    JobClock(
      wallMilliseconds: { self.state.withLock { $0.wall } },
      monotonicMilliseconds: { self.state.withLock { $0.monotonic } })
  }

  /// Time goes by.
  func advance(seconds: Int64) {
    state.withLock {
      $0.wall += seconds * 1000
      $0.monotonic += seconds * 1000
    }
  }

  /// Somebody sets the clock.
  func jump(seconds: Int64) { state.withLock { $0.wall += seconds * 1000 } }
}

/// Runs `body` with a directory of its own, which is removed afterwards.
func withJobsDirectory<Value>(
  _ body: (String) async throws -> Value, isolation: isolated (any Actor)? = #isolation
) async throws -> Value {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-jobs-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(
    atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try await body(path)
}

/// Runs `body` with an open store, which is closed afterwards.
func withJobStore<Value>(
  _ directory: String, options: JobStoreOptions = JobStoreOptions(), limits: ArtifactLimits = ArtifactLimits(),
  clock: JobClock = .system, isolation: isolated (any Actor)? = #isolation, _ body: (JobStore) async throws -> Value
) async throws -> Value {
  let store = try JobStore.open(directory: directory, options: options, artifactLimits: limits, clock: clock)
  do {
    let value = try await body(store)
    try store.close()
    return value
  } catch {
    try store.close()
    throw error
  }
}

extension JobRequest {
  static func sample(_ text: String = "hello", key: String? = nil) -> JobRequest {
    JobRequest(kind: .llm, model: "m", task: ["prompt": .string(text)], idempotencyKey: key)
  }
}

func fileExists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

/// A process whose stdout is read, spawned so that it inherits nothing else and no other test's process inherits its
/// end. Its calls block: use it inside `offThePool`.
struct JobsTestProcess {
  let pid: pid_t
  private let output: Int32

  struct SpawnFailure: Error { let code: Int32 }

  init(_ arguments: [String]) throws {
    var ends: [Int32] = [0, 0]
    // A socket pair and not a pipe: it can be made close-on-exec at once, before another test's spawn gets between.
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SpawnFailure(code: errno) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, arguments[0], &actions, nil, &words, environ)
    close(ends[1])
    guard code == 0 else {
      close(ends[0])
      throw SpawnFailure(code: code)
    }
    self.pid = pid
    output = ends[0]
  }

  /// The next bytes of stdout; empty at its end.
  func read() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = Glibc.read(output, &bytes, bytes.count)
    return count > 0 ? Array(bytes[..<count]) : []
  }

  /// Kills it, reaps it, and returns what it had still written and the wait status.
  func kill() -> (rest: [UInt8], status: Int32) {
    Glibc.kill(pid, SIGKILL)
    return wait()
  }

  /// Reads to the end and reaps it.
  func wait() -> (rest: [UInt8], status: Int32) {
    var rest: [UInt8] = []
    while case let more = read(), !more.isEmpty { rest += more }
    close(output)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return (rest, status)
  }
}

/// Runs what blocks on a thread of its own, so that the tasks' few threads stay free.
func offThePool<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { waiter in
    DispatchQueue.global().async { waiter.resume(with: Result { try body() }) }
  }
}
