import PluginProtocol

extension LiveJobs {
  /// What is known of one job.
  struct Entry {
    var attempt = 0
    var handle: Handle?
    var cancelRequested = false
    /// The log of this job: chunk events of the current attempt, and state changes.
    var log: [LiveEvent] = []
    /// Index in the whole log of `log[0]`, and the attempt that it belongs to.
    var base = 0
    var baseAttempt = 0
    var bytes = 0
    var lastSeq = 0
    var granted = 0
    var latest: JobProgress?
    var loading: (model: String, fraction: Double?)?
    /// Raised with every progress or loading report.
    var revision = 0
    var watchers: [Int: Watcher] = [:]
    var finished: JobState?
    /// Handed out to an engine that is still being started.
    var isExpected = false
  }

  struct Watcher {
    /// Index in the whole log of the next event.
    var cursor: Int
    var seenRevision = 0
    /// The attempt whose events it takes now, and the greatest chunk sequence of that attempt it has taken.
    var attempt = 0
    var seq = 0
    var waiting: CheckedContinuation<Void, Never>?
  }

  static func waiters(_ entry: inout Entry) -> [CheckedContinuation<Void, Never>] {
    var out: [CheckedContinuation<Void, Never>] = []
    for key in entry.watchers.keys {
      if let waiter = entry.watchers[key]?.waiting.take() { out.append(waiter) }
    }
    return out
  }

  static func append(_ event: LiveEvent, to entry: inout Entry) {
    entry.log.append(event)
    guard entry.bytes > historyBytes else { return }
    // Drop the older half at once: dropping one at a time would move the rest each time. What a watcher has not taken yet
    // stays: its credit bounds how much that can be.
    let unread = entry.watchers.values.map { max(0, $0.cursor - entry.base) }.min() ?? entry.log.count
    let drop = min(max(1, entry.log.count / 2), unread)
    for dropped in entry.log.prefix(drop) {
      switch dropped {
      case .chunk(let chunk): entry.bytes -= chunk.weight
      case .running(let attempt), .restart(let attempt): entry.baseAttempt = attempt
      default: break
      }
    }
    entry.log.removeFirst(drop)
    entry.base += drop
  }
}
