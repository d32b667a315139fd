import CLinux
import Glibc

/// Starts engines, each behind its own `launch` monitor.
///
/// Every child is made by one thread that lives as long as the process. All descriptors that the host keeps are
/// close-on-exec, so no engine can inherit another one's pipes.
package struct ProcessSpawner: Sendable {
  private let leftovers: Leftovers?

  /// - Parameter leftovers: where each living monitor is recorded for the next life of the host; `nil` records nothing.
  package init(leftovers: Leftovers? = nil) {
    self.leftovers = leftovers
  }

  /// Starts the monitor. That the engine itself runs, or why it does not, is the first record on the status descriptor.
  package func spawn(_ spec: ProcessSpec) async throws(SpawnError) -> SpawnedProcess {
    let leftovers = leftovers
    return try await SpawnThread.shared.run { Self.spawnHere(spec, leftovers: leftovers) }.get()
  }

  /// As `spawn(_:)` for callers that are not asynchronous: `completion` is called once, on the spawning thread, and must be short.
  package func spawn(
    _ spec: ProcessSpec, completion: @escaping @Sendable (Result<SpawnedProcess, SpawnError>) -> Void
  ) {
    let leftovers = leftovers
    do throws(SpawnError) {
      try SpawnThread.shared.submit { completion(Self.spawnHere(spec, leftovers: leftovers)) }
    } catch {
      completion(.failure(error))
    }
  }

  private static func spawnHere(_ spec: ProcessSpec, leftovers: Leftovers?) -> Result<SpawnedProcess, SpawnError> {
    ChildRegistry.reapAbandoned()
    return Result { () throws(SpawnError) in try start(spec, leftovers: leftovers) }
  }

  private static func start(_ spec: ProcessSpec, leftovers: Leftovers?) throws(SpawnError) -> SpawnedProcess {
    try spec.validate()
    var pipes = try EnginePipes()
    let inherited = pipes.childEnds
    let pid = withCStrings(spec.launchArguments(parent: getpid())) { arguments in
      withCStrings(spec.environmentEntries) { environment in
        linux_spawn(spec.launcher, arguments, environment, inherited, Int32(inherited.count))
      }
    }
    guard pid > 0 else { throw .launcher(path: spec.launcher, errno: -pid) }
    ChildRegistry.add(pid)
    let pidfd = linux_pidfd_open(pid)
    guard pidfd >= 0 else {
      // Closing the pipes, which leaving does, makes the monitor leave.
      ChildRegistry.abandon(pid)
      throw .host(operation: "opening a descriptor of process \(pid)", errno: -pidfd)
    }
    let ends = pipes.takeHostEnds()
    let record = leftovers?.add(pid: pid)
    return SpawnedProcess(monitorPID: pid, pidfd: pidfd, ends: ends, record: record)
  }
}

/// Calls `body` with a null-terminated array of C strings that lives until it returns.
private func withCStrings<Value>(
  _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value
) -> Value {
  let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
  for (index, string) in strings.enumerated() { (pointers + index).initialize(to: strdup(string)) }
  (pointers + strings.count).initialize(to: nil)
  defer {
    for index in strings.indices { free(pointers[index]) }
    pointers.deallocate()
  }
  return body(pointers)
}
