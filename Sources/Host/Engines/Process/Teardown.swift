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

  /// From a friendly request to certain death, 4.5 s after `grace` at the latest.
  ///
  /// - Parameter grace: how long the engine may take to answer `shutdown` and leave; at most 5.5 s, so that the whole keeps `limit`.
  package static func graceful(grace: Duration) -> [TeardownStep] {
    [
      TeardownStep(.requestShutdown, patience: max(.zero, min(grace, .milliseconds(5_500)))),
      TeardownStep(.closeStdin, patience: .milliseconds(500)),
      TeardownStep(.terminateGroup, patience: .milliseconds(500)),
    ] + forced
  }

  /// For an engine that is not asked any more.
  package static let forced: [TeardownStep] = [TeardownStep(.killGroup, patience: .milliseconds(500))] + afterDeath

  /// For an engine that has died by itself: its last words, then whatever it left behind.
  package static let afterDeath: [TeardownStep] = [
    TeardownStep(.drain, patience: .milliseconds(500)),
    TeardownStep(.sweep, patience: .milliseconds(1_500)),
    TeardownStep(.killMonitor, patience: .milliseconds(500)),
    TeardownStep(.reapOrphans, patience: .milliseconds(500)),
  ]
}
