import Dispatch
import PluginProtocol

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The directories of jobs and of attempts.
///
/// `work/<plugin>/<job>-<attempt>/` belongs to an engine while its attempt runs; engines of other plugins cannot see it. `jobs/<job>/<attempt>/` holds what was taken
/// from there; it counts only once the job's row names that attempt's artifacts. `jobs/<job>/inputs/` holds what its
/// task needs (see `InputStage`), until the job has ended. All are private to the host's user.
package final class ArtifactStore: Sendable {
  package let limits: ArtifactLimits
  /// What all of it lies in.
  let directory: String
  private let jobs: String
  private let work: String
  /// Hashing and fsync block; they run here and not on the threads that all tasks share.
  private let queue = DispatchQueue(label: "stoker.artifacts", attributes: .concurrent)

  init(directory: String, limits: ArtifactLimits) throws(JobStoreError) {
    self.limits = limits
    self.directory = directory
    jobs = directory + "/jobs"
    work = directory + "/work"
    try StoreFiles.makeDirectory(jobs)
    try StoreFiles.makeDirectory(work)
  }

  /// Where the artifacts of a job's attempt lie once taken.
  package func artifactDirectory(_ id: JobID, attempt: Int) -> String { "\(jobs)/\(id)/\(attempt)" }

  /// The path of an attempt's work directory, whether it exists or not.
  /// - Parameter plugin: whose engine works there; nil for one of no plugin, as programs that test have it.
  package func workDirectory(_ id: JobID, attempt: Int, of plugin: String? = nil) -> String {
    "\(plugin.map { workRoot(of: $0) } ?? work)/\(id)-\(attempt)"
  }

  /// The path below which the work directories of a plugin's engines lie, whether it exists or not.
  package func workRoot(of plugin: String) -> String { ArtifactStore.workRoot(of: plugin, below: directory) }

  package static func workRoot(of plugin: String, below directory: String) -> String {
    "\(directory)/work/\(plugin)"
  }

  /// Creates the empty work directory of an attempt, mode 0700, and returns its path.
  package func makeWorkDirectory(
    _ id: JobID, attempt: Int, of plugin: String? = nil
  ) throws(JobStoreError) -> String {
    let path = workDirectory(id, attempt: attempt, of: plugin)
    if mkdir(path, 0o700) == 0 { return path }
    if errno == ENOENT {
      // The first of its plugin, or somebody has removed the directory of all of them.
      try StoreFiles.makeDirectory(work)
      if let plugin { try StoreFiles.makeDirectory(workRoot(of: plugin)) }
      if mkdir(path, 0o700) == 0 { return path }
    }
    guard errno == EEXIST else { throw StoreFiles.error(errno, path: path) }
    // A former life that lost power can have left a directory of the same attempt.
    FileTree.remove(path)
    guard mkdir(path, 0o700) == 0 else { throw StoreFiles.error(errno, path: path) }
    return path
  }

  /// Holds an attempt that declares no file to its quota, too: what it has left in its work directory may be much.
  func checkLeavings(of id: JobID, attempt: Int, from plugin: String?) async throws(ArtifactError) {
    let path = workDirectory(id, attempt: attempt, of: plugin)
    // Most engines leave it empty: one system call, which removing it would have cost anyway.
    if rmdir(path) == 0 || errno == ENOENT { return }
    let limits = limits
    try await onQueue { Result { () throws(ArtifactError) in try limits.check(path) } }.get()
  }

  /// The path of a job's input files, whether there are any or not.
  package func inputDirectory(_ id: JobID) -> String { "\(jobs)/\(id)/inputs" }

  /// Creates the directory for a job's input files, before or after it is submitted, and returns its path.
  package func makeInputDirectory(_ id: JobID) throws(JobStoreError) -> String {
    let path = inputDirectory(id)
    try StoreFiles.makeDirectory(path)
    return path
  }

  /// Checks the declared files in the attempt's work directory and takes them by rename into the job's directory.
  ///
  /// When this returns, the files and their names are on disk. It never blocks in an open, and touches nothing outside
  /// the two directories. On an error nothing of the attempt's artifacts is left in the job's directory.
  package func take(
    _ declarations: [ArtifactDeclaration], of id: JobID, attempt: Int, from plugin: String? = nil
  ) async throws(ArtifactError) -> [JobArtifact] {
    if declarations.isEmpty { return [] }
    let source = workDirectory(id, attempt: attempt, of: plugin)
    let target = artifactDirectory(id, attempt: attempt)
    let limits = limits
    return try await onQueue {
      let result = Result { () throws(ArtifactError) in
        try ArtifactTransfer(source: source, target: target, limits: limits).run(declarations)
      }
      if case .failure = result { FileTree.remove(target) }
      return result
    }.get()
  }

  /// Removes an attempt's work directory with all it holds, whosever engine it was for, and has the room back even if the
  /// engine holds files open.
  func emptyWorkDirectory(_ id: JobID, attempt: Int) async {
    let paths =
      [workDirectory(id, attempt: attempt)]
      + FileTree.names(in: work).map { workDirectory(id, attempt: attempt, of: $0) }
    await onQueue { for path in paths { FileTree.remove(path, emptying: true) } }
  }

  /// Removes an attempt's work directory with all it holds.
  package func removeWorkDirectory(_ id: JobID, attempt: Int, of plugin: String? = nil) async {
    let path = workDirectory(id, attempt: attempt, of: plugin)
    // Most engines leave it empty: one system call, and no other thread.
    if rmdir(path) == 0 || errno == ENOENT { return }
    await onQueue { FileTree.remove(path) }
  }

  /// Removes what was taken from an attempt that then turned out superseded or failed.
  package func removeArtifacts(of id: JobID, attempt: Int) async {
    let path = artifactDirectory(id, attempt: attempt)
    await onQueue { FileTree.remove(path, emptying: true) }
  }

  /// Removes a job's input files, and its directory when nothing else is in it.
  func removeInputs(of id: JobID) async {
    let path = inputDirectory(id)
    // Most jobs have none: one system call, and no other thread.
    if access(path, F_OK) != 0 { return }
    let parent = "\(jobs)/\(id)"
    await onQueue {
      FileTree.remove(path)
      rmdir(parent)
    }
  }

  /// Removes everything of these jobs.
  package func remove(_ ids: [JobID]) async {
    let paths = ids.map { "\(jobs)/\($0)" }
    await onQueue { for path in paths { FileTree.remove(path) } }
  }

  /// At the start of a life: removes every work directory, every job directory whose job is not in `keeping`, in the
  /// others the artifacts of attempts that did not decide the job, and the inputs of jobs that have ended: those that
  /// have artifacts. Returns how many directories went.
  func sweep(keeping: [JobID: Int?]) -> Int {
    var removed = 0
    for name in FileTree.names(in: work) {
      FileTree.remove("\(work)/\(name)")
      removed += 1
    }
    for name in FileTree.names(in: jobs) {
      guard let id = JobID(name), let attempt = keeping[id] else {
        FileTree.remove("\(jobs)/\(name)")
        removed += 1
        continue
      }
      let kept = attempt.map(String.init) ?? "inputs"
      for inner in FileTree.names(in: "\(jobs)/\(name)") where inner != kept {
        FileTree.remove("\(jobs)/\(name)/\(inner)")
        removed += 1
      }
    }
    return removed
  }

  func onQueue<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { waiter in
      queue.async { waiter.resume(returning: body()) }
    }
  }
}
