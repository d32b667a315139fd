import PluginProtocol
import Synchronization

/// What is known of one plugin's life: its processes, its history, its counters. For `status` and `plugins inspect`.
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
    package var jobs: [String] = []
    package var models: @Sendable () -> [String] = { [] }
    /// Devices that it was given, by name; empty when it computes on the processors.
    package var devices: [String] = []
    /// What holds it; nil when its sandbox is switched off, or it has not started.
    package var sandbox: SandboxInForce?
  }

  /// One event of the plugin's history.
  package struct Event: Sendable, Equatable {
    package var at: Int64
    package var what: String
    package var detail: String
  }

  package struct Counters: Sendable, Equatable {
    package var starts = 0
    package var crashes = 0
    package var session = EngineSession.Counters()
  }

  /// Events kept.
  static let historyKept = 200
  /// Lines of stderr kept.
  static let stderrKept = 200

  package struct State: Sendable {
    package var processes: [Int: Process] = [:]
    package var history: [Event] = []
    package var stderr: [String] = []
    package var counters = Counters()
    package var restarts = 0
    package var backoffUntil: MonotonicInstant?
    /// Why the plugin is out of service; nil while it is in.
    package var outOfService: String?
    package var isQuarantined = false
  }
  private let state = Mutex(State())

  package init() {}

  package var snapshot: State { state.withLock { $0 } }

  func update(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

  func note(_ what: String, _ detail: String) {
    state.withLock { state in
      if state.history.count == PluginRecord.historyKept { state.history.removeFirst() }
      state.history.append(Event(at: Timestamp.now(), what: what, detail: HostLog.neutralise(detail)))
    }
  }

  func stderr(_ line: String) {
    state.withLock { state in
      if state.stderr.count == PluginRecord.stderrKept { state.stderr.removeFirst() }
      state.stderr.append(HostLog.neutralise(line))
    }
  }

  func add(_ counters: EngineSession.Counters) {
    state.withLock { state in
      state.counters.session.noise += counters.noise
      state.counters.session.protocolErrors += counters.protocolErrors
      state.counters.session.unknown += counters.unknown
      state.counters.session.late += counters.late
      state.counters.session.droppedProgress += counters.droppedProgress
      state.counters.session.droppedLogs += counters.droppedLogs
    }
  }
}
