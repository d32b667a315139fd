/// One thing that is done to end an engine.
package enum TeardownAction: Sendable, Equatable {
  /// Send the `shutdown` request.
  case requestShutdown
  /// `close(.stdin)`.
  case closeStdin
  /// `signalGroup(.terminate)`.
  case terminateGroup
  /// `signalGroup(.kill)`. Needed even after SIGTERM: a stopped process does not receive that.
  case killGroup
  /// Read stdout and stderr until both end; a descendant may keep them open for ever.
  case drain
  /// `close(.control)`: the monitor removes every descendant and leaves.
  case sweep
  /// `killMonitor()`: it does not do its duty.
  case killMonitor
  /// `OrphanReaper.sweep(within:)`: what the monitor did not remove has come to the host.
  case reapOrphans
}

/// An action and how long its effect is awaited before the next one.
package struct TeardownStep: Sendable, Equatable {
  package let action: TeardownAction
  package let patience: Duration

  package init(_ action: TeardownAction, patience: Duration) {
    self.action = action
    self.patience = patience
  }
}

/// How an engine is ended: steps in order, each gentler than the next.
package enum Teardown {
  /// Longest time that any teardown takes.
  package static let limit = Duration.seconds(10)

  /// How long the monitor may take to remove descendants when the engine has used up all other time. Most need a millisecond;
  /// thousands that go on forking need seconds, and have them where the engine has not.
  private static let shortestSweep = Duration.milliseconds(1_500)

  /// From a friendly request to certain death, within `limit`.
  ///
  /// - Parameter grace: how long the engine may take to answer `shutdown` and leave; at most 5.5 s, so that the whole keeps `limit`.
  package static func graceful(grace: Duration) -> [TeardownStep] {
    let grace = max(.zero, min(grace, .milliseconds(5_500)))
    return [
      TeardownStep(.requestShutdown, patience: grace),
      TeardownStep(.closeStdin, patience: .milliseconds(500)),
      TeardownStep(.terminateGroup, patience: .milliseconds(500)),
    ] + forced(sweep: max(shortestSweep, .milliseconds(7_000) - grace))
  }

  /// For an engine that is not asked any more.
  package static let forced = forced(sweep: .seconds(8))

  /// For an engine that has died by itself: its last words, then whatever it left behind.
  package static let afterDeath = afterDeath(sweep: .milliseconds(8_500))

  private static func forced(sweep: Duration) -> [TeardownStep] {
    [TeardownStep(.killGroup, patience: .milliseconds(500))] + afterDeath(sweep: sweep)
  }

  private static func afterDeath(sweep: Duration) -> [TeardownStep] {
    [
      TeardownStep(.drain, patience: .milliseconds(500)),
      TeardownStep(.sweep, patience: sweep),
      TeardownStep(.killMonitor, patience: .milliseconds(500)),
      TeardownStep(.reapOrphans, patience: .milliseconds(500)),
    ]
  }
}
