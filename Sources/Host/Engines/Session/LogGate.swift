import PluginProtocol

/// Passes on at most ten `log` messages a second, for each running job and for the engine as a whole. What it swallows is
/// counted, and said with the next message that passes.
package struct LogGate: Sendable {
  static let perSecond = 10

  private struct Window: Sendable {
    var start: MonotonicInstant
    var passed = 0
    var dropped = 0
  }

  private var windows: [String: Window] = [:]
  package private(set) var dropped = 0

  package init() {}

  /// Takes a message. Returns what may be logged: nothing, it, or first a word about those that were dropped.
  ///
  /// - Parameter job: the running job that it is about; anything else shares the engine's own allowance.
  package mutating func take(_ message: LogMessage, job: String?, now: MonotonicInstant) -> [LogMessage] {
    let key = job ?? ""
    var window = windows[key] ?? Window(start: now)
    var out: [LogMessage] = []
    if window.start.duration(to: now) >= .seconds(1) {
      if let notice = LogGate.notice(window.dropped, job) { out.append(notice) }
      window = Window(start: now)
    }
    if window.passed < LogGate.perSecond {
      window.passed += 1
      out.append(message)
    } else {
      window.dropped += 1
      dropped += 1
    }
    windows[key] = window
    return out
  }

  /// A job has ended: what was dropped of it is said now.
  package mutating func close(job: String) -> LogMessage? {
    windows.removeValue(forKey: job).flatMap { LogGate.notice($0.dropped, job) }
  }

  /// The engine has ended.
  package mutating func closeAll() -> [LogMessage] {
    defer { windows = [:] }
    return windows.sorted { $0.key < $1.key }.compactMap {
      LogGate.notice($0.value.dropped, $0.key.isEmpty ? nil : $0.key)
    }
  }

  private static func notice(_ dropped: Int, _ job: String?) -> LogMessage? {
    guard dropped > 0 else { return nil }
    return LogMessage(
      level: .warn, message: "\(dropped.counted("log message")) came too fast and were dropped", jobID: job)
  }
}
