import Testing

@testable import Host

@Suite struct TeardownMachineTests {
  /// Carries a machine through, with a world that answers actions by observations. Returns the actions with their times.
  private func play(
    _ steps: [TeardownStep], initially: [TeardownMachine.Observation] = [],
    world: (TeardownAction) -> [TeardownMachine.Observation]
  ) -> (actions: [TeardownAction], outcome: TeardownMachine.Outcome, took: Duration) {
    let clock = ManualHostClock()
    let start = clock.now()
    var machine = TeardownMachine(steps, at: start)
    initially.forEach { machine.observe($0) }
    var actions: [TeardownAction] = []
    while true {
      switch machine.next(at: clock.now()) {
      case .perform(let action):
        actions.append(action)
        world(action).forEach { machine.observe($0) }
      case .wait(let until): clock.advance(by: clock.now().duration(to: until))
      case .finished(let outcome): return (actions, outcome, start.duration(to: clock.now()))
      }
    }
  }

  private let sweepsClean: (TeardownAction) -> [TeardownMachine.Observation] = {
    $0 == .sweep ? [.swept(left: 0), .monitorEnded] : []
  }

  @Test func anEngineThatObeysIsNotKilled() {
    let (actions, outcome, took) = play(Teardown.graceful(grace: .seconds(5))) { action in
      switch action {
      case .requestShutdown: [.engineEnded, .drained]
      default: sweepsClean(action)
      }
    }
    #expect(actions == [.requestShutdown, .sweep])
    #expect(outcome == .clean)
    #expect(took == .zero)
  }

  @Test func anEngineThatLeavesAtEndOfInputIsNotKilled() {
    let (actions, outcome, took) = play(Teardown.graceful(grace: .seconds(2))) { action in
      action == .closeStdin ? [.engineEnded, .drained] : sweepsClean(action)
    }
    #expect(actions == [.requestShutdown, .closeStdin, .sweep])
    #expect(outcome == .clean)
    #expect(took == .seconds(2))
  }

  @Test func aDeafEngineIsKilledWithinTheLimit() {
    let (actions, outcome, took) = play(Teardown.graceful(grace: .seconds(60))) { action in
      action == .killGroup ? [.engineEnded] : sweepsClean(action)
    }
    #expect(actions == [.requestShutdown, .closeStdin, .terminateGroup, .killGroup, .drain, .sweep])
    #expect(outcome == .clean)
    #expect(took <= Teardown.limit)
  }

  @Test func nothingHelpsAndItStillEndsWithinTheLimit() {
    let (actions, outcome, took) = play(Teardown.graceful(grace: .seconds(60))) { _ in [] }
    #expect(
      actions == [
        .requestShutdown, .closeStdin, .terminateGroup, .killGroup, .drain, .sweep, .killMonitor, .reapOrphans,
      ])
    #expect(outcome == .lost)
    #expect(took <= Teardown.limit)
  }

  @Test func aGrandchildThatHoldsThePipesDelaysTheSweepByTheDrainOnly() {
    let (actions, outcome, took) = play(Teardown.afterDeath, initially: [.engineEnded], world: sweepsClean)
    #expect(actions == [.drain, .sweep])
    #expect(outcome == .clean)
    #expect(took == .milliseconds(500))
  }

  @Test func aMonitorThatDoesNotAnswerIsKilledAndItsOrphansAreReaped() {
    let (actions, outcome, _) = play(Teardown.afterDeath, initially: [.engineEnded, .drained]) { action in
      switch action {
      case .killMonitor: [.monitorEnded]
      case .reapOrphans: [.orphansReaped(left: 0)]
      default: []
      }
    }
    #expect(actions == [.sweep, .killMonitor, .reapOrphans])
    #expect(outcome == .clean)
  }

  @Test func aMonitorKilledFromOutsideLeavesItsOrphansToTheHost() {
    let (actions, outcome, _) = play(Teardown.forced, initially: [.monitorEnded, .drained]) { action in
      action == .reapOrphans ? [.orphansReaped(left: 0)] : []
    }
    #expect(actions == [.reapOrphans])
    #expect(outcome == .clean)
  }

  @Test func whatCannotBeRemovedIsLost() {
    let (_, outcome, _) = play(Teardown.afterDeath, initially: [.engineEnded, .drained]) { action in
      switch action {
      case .sweep: [.swept(left: 1), .monitorEnded]
      case .reapOrphans: [.orphansReaped(left: 1)]
      default: []
      }
    }
    #expect(outcome == .lost)
  }

  @Test func theGracePeriodIsNeverNegative() {
    #expect(Teardown.graceful(grace: .seconds(-1)).first == TeardownStep(.requestShutdown, patience: .zero))
  }

  @Test func thePatienceOfAllStepsKeepsTheLimit() {
    let sum = Teardown.graceful(grace: .seconds(1_000)).map(\.patience).reduce(.zero, +)
    #expect(sum <= Teardown.limit)
  }
}
