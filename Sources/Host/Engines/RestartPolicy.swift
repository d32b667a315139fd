/// Decides when a plugin's engine is started again after it died. A value without clocks: it is told the time.
///
/// The first restart waits 0.5 s, each further one twice as long up to 60 s, a quarter more or less by chance. A process
/// that lived for 60 s and finished a job starts the count anew. Five deaths within three minutes quarantine the plugin.
///
/// Deaths by a job that turns out to be poison are taken off the account, when the engine has shown within the window that
/// it can do other jobs: one that dies of everything is not excused by the jobs that it dies of. Deaths for want of memory
/// delay the next start and never quarantine.
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

  private struct Death {
    var at: MonotonicInstant
    /// Jobs that the process had in hand.
    var jobs: Set<JobID>
  }

  private let settings: Settings
  private var deaths: [Death] = []
  private var lastGood: MonotonicInstant?
  private(set) var streak = 0

  package init(settings: Settings = Settings()) { self.settings = settings }

  /// An engine died, or could not be started.
  ///
  /// - Parameters:
  ///   - lived: how long it had been ready.
  ///   - finishedJobs: jobs it ended well.
  ///   - chance: a number from 0 to 1.
  ///   - jobs: jobs that it had in hand.
  ///   - poison: those of them that have turned out to be what ends processes.
  ///   - counts: false when the engine is not to blame: it was killed for want of memory.
  package mutating func died(
    now: MonotonicInstant, lived: Duration, finishedJobs: Int, chance: Double, jobs: Set<JobID> = [],
    poison: Set<JobID> = [], counts: Bool = true
  ) -> Decision {
    if lived >= settings.goodLife, finishedJobs > 0 { forgive() }
    deaths.removeAll { $0.at.duration(to: now) > settings.quarantineWindow }
    if counts { deaths.append(Death(at: now, jobs: jobs)) }
    streak += 1
    if !poison.isEmpty, let lastGood, lastGood.duration(to: now) <= settings.quarantineWindow {
      let before = deaths.count
      deaths.removeAll { !$0.jobs.isDisjoint(with: poison) }
      streak = max(1, streak - (before - deaths.count))
    }
    if deaths.count >= settings.quarantineDeaths { return .quarantine }
    var delay = settings.firstDelay
    for _ in 1..<streak where delay < settings.longestDelay { delay = delay * 2 }
    delay = min(delay, settings.longestDelay)
    return .restart(after: jittered(delay, chance))
  }

  private func jittered(_ delay: Duration, _ chance: Double) -> Duration {
    delay * (1 + settings.jitter * (2 * min(1, max(0, chance)) - 1))
  }

  /// A job was done well.
  package mutating func served(now: MonotonicInstant) { lastGood = now }

  /// The operator has lifted the quarantine, or the plugin has changed.
  package mutating func forgive() {
    deaths = []
    streak = 0
  }
}
