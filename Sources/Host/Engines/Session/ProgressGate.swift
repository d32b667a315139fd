import PluginProtocol

/// Passes on at most one progress event an interval: the latest. What it swallows is counted.
package struct ProgressGate: Sendable {
  private let interval: Duration
  private var lastPassed: MonotonicInstant?
  private var held: JobProgress?
  package private(set) var dropped = 0

  package init(interval: Duration) { self.interval = interval }

  /// When the held event is due, if one is held.
  package var due: MonotonicInstant? { held == nil ? nil : lastPassed?.advanced(by: interval) }

  /// Takes an event. Returns it when it may pass at once.
  package mutating func take(_ progress: JobProgress, now: MonotonicInstant) -> JobProgress? {
    if let last = lastPassed, last.duration(to: now) < interval {
      if held != nil { dropped += 1 }
      held = progress
      return nil
    }
    if held != nil { dropped += 1 }
    held = nil
    lastPassed = now
    return progress
  }

  /// Gives the held event when its time has come, or at once with `flush`.
  package mutating func release(now: MonotonicInstant, flush: Bool = false) -> JobProgress? {
    guard let event = held, flush || (due.map { $0 <= now } ?? true) else { return nil }
    held = nil
    lastPassed = now
    return event
  }
}
