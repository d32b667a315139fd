import PluginProtocol
import Synchronization

/// What is known of one plugin's life: its processes, its history, its counters. For `status` and `plugins inspect`.
///
/// History and counters outlive the worker where there is a file for them; see `PluginHistoryFile`.
package final class PluginRecord: Sendable {
  /// One process, from spawn to sweep.
  package struct Process: Sendable {
    package enum State: String, Sendable {
      case starting, ready, stopping
    }
    package var pid: Int32?
    package var state: State
    /// Wall time in milliseconds since 1970.
    package var startedAt: Int64
    /// The plugin's version that runs in it: an old one may end its jobs beside the new one.
    package var version: String
    package var jobs: [String] = []
    package var models: @Sendable () -> [String] = { [] }
    /// Devices that it was given, by name; empty when it computes on the processors.
    package var devices: [String] = []
    /// What holds it; nil when its sandbox is switched off, or it has not started.
    package var sandbox: SandboxInForce?
    /// Of its conversation so far.
    package var counters: @Sendable () -> EngineSession.Counters = { EngineSession.Counters() }
  }

  /// One event of the plugin's history.
  package struct Event: Sendable, Equatable {
    /// Counts up over all lives of the worker.
    package var number: Int64
    /// Wall time in milliseconds since 1970.
    package var at: Int64
    package var what: String
    package var detail: String
    package var pid: Int32?
    /// Signal or status, stderr and wire of a process that died; kept for the last few deaths.
    package var evidence: JSONValue?
  }

  /// Sums over all processes, and over all lives of the worker.
  package struct Counters: Sendable, Equatable {
    package var starts = 0
    package var crashes = 0
    package var restarts = 0
    package var session = EngineSession.Counters()
  }

  /// Events kept.
  static let historyKept = 200
  /// Events whose evidence is kept.
  static let evidenceKept = 10
  /// Bytes kept of what an event says.
  static let detailBytes = 1024
  /// Lines of stderr kept.
  static let stderrKept = 200

  package struct State: Sendable {
    /// By a number of their own: two versions of a plugin may each have a process in the same slot.
    package var processes: [Int: Process] = [:]
    package var history: [Event] = []
    package var stderr: [String] = []
    /// Of processes that have ended; `total` has those of the others, too.
    package var counters = Counters()
    package var backoffUntil: MonotonicInstant?
    fileprivate var lastProcess = 0
    fileprivate var lastEvent: Int64 = 0

    /// With what the running processes have counted so far.
    package var total: Counters {
      var total = counters
      for process in processes.values { total.session += process.counters() }
      return total
    }

    /// What is left of the last process that died.
    package var lastEvidence: Event? { history.last { $0.evidence != nil } }
  }
  private let state: Mutex<State>
  private let file: PluginHistoryFile?

  /// - Parameter file: where history and counters are kept; nil for in memory only.
  package init(file: PluginHistoryFile? = nil) {
    self.file = file
    var initial = State()
    if let kept = file?.load() {
      initial.history = kept.events
      initial.counters = kept.counters
      initial.lastEvent = kept.events.last?.number ?? 0
    }
    state = Mutex(initial)
  }

  package var snapshot: State { state.withLock { $0 } }

  func update(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

  // MARK: Processes

  /// A process is about to be started. Returns its number here.
  func begin(version: String, devices: [String]) -> Int {
    state.withLock { state in
      state.counters.starts += 1
      state.lastProcess += 1
      state.processes[state.lastProcess] = Process(
        state: .starting, startedAt: Timestamp.now(), version: version, devices: devices)
      return state.lastProcess
    }
  }

  func update(_ process: Int, _ body: (inout Process) -> Void) {
    state.withLock { state in
      guard var found = state.processes.removeValue(forKey: process) else { return }
      body(&found)
      state.processes[process] = found
    }
  }

  /// The process is gone. May be said twice.
  func end(_ process: Int, _ counters: EngineSession.Counters? = nil) {
    state.withLock { state in
      guard state.processes.removeValue(forKey: process) != nil, let counters else { return }
      state.counters.session += counters
    }
  }

  // MARK: History

  package func note(_ what: String, _ detail: String, pid: Int32? = nil, evidence: JSONValue? = nil) {
    let detail = PluginRecord.shortened(detail)
    let (event, history, counters) = state.withLock { state in
      state.lastEvent += 1
      let event = Event(
        number: state.lastEvent, at: Timestamp.now(), what: what, detail: detail, pid: pid, evidence: evidence)
      state.history.append(event)
      PluginRecord.trim(&state.history)
      return (event, state.history, state.counters)
    }
    file?.append(event, counters, of: history)
  }

  /// Drops what is over the bounds, oldest first.
  static func trim(_ history: inout [Event]) {
    if history.count > historyKept { history.removeFirst(history.count - historyKept) }
    var evidence = 0
    for index in history.indices.reversed() where history[index].evidence != nil {
      evidence += 1
      if evidence > evidenceKept { history[index].evidence = nil }
    }
  }

  private static func shortened(_ detail: String) -> String {
    let clean = HostLog.neutralise(detail)
    guard clean.utf8.count > detailBytes else { return clean }
    return String(decoding: clean.utf8.prefix(detailBytes), as: UTF8.self) + " … [cut: \(clean.utf8.count) bytes]"
  }

  func stderr(_ line: String) {
    state.withLock { state in
      if state.stderr.count == PluginRecord.stderrKept { state.stderr.removeFirst() }
      state.stderr.append(HostLog.neutralise(line))
    }
  }
}

extension EngineSession.Counters {
  static func += (left: inout EngineSession.Counters, right: EngineSession.Counters) {
    left.noise += right.noise
    left.protocolErrors += right.protocolErrors
    left.unknown += right.unknown
    left.late += right.late
    left.droppedProgress += right.droppedProgress
    left.droppedLogs += right.droppedLogs
  }

  /// What there is to tell; empty when all went well.
  var text: String {
    [
      ("noise", noise), ("protocol errors", protocolErrors), ("unknown messages", unknown), ("late results", late),
      ("dropped progress", droppedProgress), ("dropped logs", droppedLogs),
    ].filter { $0.1 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
  }
}
