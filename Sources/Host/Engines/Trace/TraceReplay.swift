import Glibc
import PluginProtocol
import Synchronization

/// Says to a fresh process of an engine what the host said in a trace, and compares what it answers.
package struct TraceReplay: Sendable {
  package struct Report: Sendable {
    package var differences: [TraceComparison.Difference]
    /// Messages that were sent; fewer than recorded when the engine ended before.
    package var sent: Int
    package var recorded: Int
    package var comparedTexts: Bool
  }

  package var script: TraceScript
  package var suite: ConformanceSuite
  package var comparesTexts = true
  /// Where files lie that jobs had brought, by their names in the work directory.
  package var inputs: String?

  /// Time for an answer that was there when the next message was sent.
  static let patience = Duration.seconds(60)
  /// Time for chunks.
  static let chunkPatience = Duration.seconds(10)
  /// Longest pause that is kept.
  static let longestPause = Duration.seconds(2)

  package init(script: TraceScript, suite: ConformanceSuite) {
    self.script = script
    self.suite = suite
  }

  /// - Throws: `HomeError`, `SourceDiagnostics`; `CancellationError` when the task was cancelled.
  package func run(_ plugin: Plugin) async throws -> Report {
    TerminationSignals.ignoreBrokenPipes()
    let root = try ConformanceFiles.temporary(below: suite.environment["TMPDIR"] ?? "/tmp")
    defer { FileTree.remove(root) }
    let setup = try await suite.setup(plugin, below: root)
    return try await onBlockingThread { cancel in try replay(setup, cancel) }
  }

  /// Hears the engine.
  private final class Ear: WireObserver {
    let frames = Mutex<[JSONValue]>([])

    func observe(_ event: WireEvent, at instant: MonotonicInstant) {
      guard case .fromEngine(let line) = event, let frame = try? JSONValue(parsing: line) else { return }
      frames.withLock { $0.append(frame) }
    }

    func end(_ done: @escaping @Sendable () -> Void) { done() }

    func hasAnswered(_ ids: Set<Int64>) -> Bool {
      let seen = frames.withLock { frames in Set(frames.filter { $0["method"] == nil }.compactMap { $0["id"]?.int }) }
      return ids.isSubset(of: seen)
    }

    func hasHeard(_ chunks: [String: Int]) -> Bool {
      frames.withLock { frames in
        chunks.allSatisfy { job, count in
          frames.count { $0["method"]?.string == Method.jobChunk && $0["params"]?["jobId"]?.string == job } >= count
        }
      }
    }
  }

  private func replay(_ setup: ConformanceSetup, _ cancel: CancelSignal) throws -> Report {
    let clock = SystemHostClock()
    let ear = Ear()
    let engine = try RawEngine(
      setup.process, clock: clock, cancel: cancel, limit: (clock.now().advanced(by: .seconds(3600)), true),
      observers: [ear] + setup.observers())
    defer { engine.end() }
    var sent = 0
    for step in script.steps {
      try engine.wait(TraceReplay.patience) { ear.hasAnswered(step.answered) || engine.exit != nil }
      try engine.wait(TraceReplay.chunkPatience) { ear.hasHeard(step.chunks) || engine.exit != nil }
      guard engine.exit == nil, ear.hasAnswered(step.answered) else { break }
      let method = step.frame["method"]?.string
      // What goes between the steps of a job goes there again.
      if method == Method.jobCancel {
        try engine.wait(min(step.pause, TraceReplay.longestPause)) { engine.exit != nil }
      }
      let frame = try translated(step.frame, setup)
      engine.write(Array(frame.text.utf8) + [0x0A])
      sent += 1
    }
    let last = Set(script.heard.filter { $0["method"] == nil }.compactMap { $0["id"]?.int })
    try engine.wait(TraceReplay.patience) { ear.hasAnswered(last) || engine.exit != nil }
    // What lies in the pipe of an engine that has ended counts.
    try engine.wait(.milliseconds(200)) { !engine.isOutputOpen || engine.exit == nil }
    var comparison = TraceComparison(script: script, comparesTexts: comparesTexts)
    comparison.compare(script.heard, ear.frames.withLock { $0 })
    return Report(
      differences: comparison.differences, sent: sent, recorded: script.steps.count,
      comparedTexts: comparison.comparesTexts)
  }

  /// The message with the directories of this machine and time.
  private func translated(_ frame: JSONValue, _ setup: ConformanceSetup) throws -> JSONValue {
    guard var members = frame.object, var params = frame["params"]?.object else { return frame }
    switch frame["method"]?.string {
    case Method.initialize:
      for name in ["directories", "resources"] {
        if let own = setup.initialize[name] { params[name] = own }
      }
    case Method.jobRun:
      guard let recorded = params["workDirectory"]?.string else { return frame }
      let work = FilePath.join(setup.directories.work, FilePath.name(recorded))
      guard mkdir(work, 0o700) == 0 else {
        throw HomeError(path: work, problem: "cannot make \(work): \(errorText(errno))")
      }
      params["workDirectory"] = .string(work)
      try bringInputs(params, to: work)
      if let task = params["task"] { params["task"] = replacing(recorded, by: work, in: task) }
    default: return frame
    }
    members["params"] = .object(params)
    return .object(members)
  }

  private func bringInputs(_ params: [String: JSONValue], to work: String) throws {
    var names = params["taskFile"]?.string.map { [$0] } ?? []
    for (_, entry) in params["inputs"]?.object ?? [:] {
      names += (entry.array ?? [entry]).compactMap { $0["name"]?.string }
    }
    for name in names where !name.contains("/") {
      guard let inputs, let bytes = try? SafeFile.read(FilePath.join(inputs, name), maxBytes: 1 << 30).bytes else {
        throw HomeError(
          path: name,
          problem: "a job of the trace brought the file \(name), which a trace does not hold; put it into a directory "
            + "under that name, and give that with --inputs DIR")
      }
      try ConformanceFiles.write(bytes, to: FilePath.join(work, name))
    }
  }

  private func replacing(_ old: String, by new: String, in value: JSONValue) -> JSONValue {
    switch value {
    case .object(let members):
      var out: [String: JSONValue] = [:]
      for (name, member) in members { out[name] = replacing(old, by: new, in: member) }
      return .object(out)
    case .array(let elements):
      var out: [JSONValue] = []
      for element in elements { out.append(replacing(old, by: new, in: element)) }
      return .array(out)
    case .string(let text):
      let prefix = "file://\(old)/"
      return .string(text.hasPrefix(prefix) ? "file://\(new)/" + text.dropFirst(prefix.count) : text)
    default: return value
    }
  }
}
