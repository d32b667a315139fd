/// Decides when a plugin's engine is started again after it died. A value without clocks: it is told the time.
///
/// The first restart waits 0.5 s, each further one twice as long up to 60 s, a quarter more or less by chance. A process
/// that lived for 60 s and finished a job starts the count anew. Five deaths within three minutes quarantine the plugin.
package struct RestartPolicy: Sendable {
  package struct Settings: Sendable, Equatable {
    package var firstDelay: Duration = .milliseconds(500)
    package var longestDelay: Duration = .seconds(60)
    /// A life this long, with a good job in it, is forgiven everything before.
    package var goodLife: Duration = .seconds(60)
    package var quarantineDeaths = 5
    package var quarantineWindow: Duration = .seconds(180)
    /// Part of the delay that chance adds or takes, 0 to 1.
    package var jitter = 0.25

    package init() {}
  }

  /// What to do next.
  package enum Decision: Sendable, Equatable {
    case restart(after: Duration)
    case quarantine
  }

  private let settings: Settings
  private var deaths: [MonotonicInstant] = []
  private(set) var streak = 0

  package init(settings: Settings = Settings()) { self.settings = settings }

  /// An engine died, or could not be started.
  ///
  /// - Parameters:
  ///   - lived: how long it had been ready.
  ///   - finishedJobs: jobs it ended well.
  ///   - chance: a number from 0 to 1.
  package mutating func died(
    now: MonotonicInstant, lived: Duration, finishedJobs: Int, chance: Double
  ) -> Decision {
    if lived >= settings.goodLife, finishedJobs > 0 { forgive() }
    deaths.removeAll { $0.duration(to: now) > settings.quarantineWindow }
    deaths.append(now)
    if deaths.count >= settings.quarantineDeaths { return .quarantine }
    streak += 1
    var delay = settings.firstDelay
    for _ in 1..<streak where delay < settings.longestDelay { delay = delay * 2 }
    delay = min(delay, settings.longestDelay)
    return .restart(after: jittered(delay, chance))
  }

  /// The kernel killed an engine for memory: that may be anybody's doing, so it counts for nothing.
  package func ranOutOfMemory(chance: Double) -> Decision { .restart(after: jittered(settings.firstDelay, chance)) }

  private func jittered(_ delay: Duration, _ chance: Double) -> Duration {
    delay * (1 + settings.jitter * (2 * min(1, max(0, chance)) - 1))
  }

  /// The operator has lifted the quarantine, or the plugin has changed.
  package mutating func forgive() {
    deaths = []
    streak = 0
  }
}
