import PluginProtocol
import Synchronization
import Testing

@testable import Host

@Suite(.timeLimit(.minutes(1)))
struct ResidencyTests {
  static let mib: Int64 = 1 << 20
  let clock = ManualHostClock()

  /// A residency of 1,000 MiB that runs while `body` does.
  private func withResidency(
    limits: [MemoryPool: Int64] = [.machine: 1000 * mib], wait: Duration = .seconds(30),
    model: @escaping @Sendable (String) -> ResidencyConfiguration = { _ in ResidencyConfiguration() },
    _ body: (Residency) async throws -> Void
  ) async rethrows {
    let residency = Residency(
      policy: ResidencyPolicy(limits: limits, waitForRoom: wait, model: model),
      probe: MemoryProbe(available: { _ in [:] }, held: { _, _ in nil }),
      footprints: Footprints(path: nil), clock: clock, log: HostLog(output: nil), onChange: {})
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await residency.run() }
      try await body(residency)
      group.cancelAll()
    }
  }

  private func acquire(
    _ residency: Residency, _ model: String, at holder: MemoryLedger.HolderID, for key: String = "job"
  ) async -> Residency.Acquired {
    await residency.acquire(ModelReference(id: model), fileBytes: 0, at: holder, for: key)
  }

  @Test func aModelIsLoadedOnceForAllWhoWantIt() async {
    await withResidency { residency in
      let engine = FakeResidentEngine(gated: true)
      let holder = await residency.enter(.fake(engine))
      await withTaskGroup(of: Residency.Acquired.self) { group in
        for job in 0..<4 { group.addTask { await acquire(residency, "m", at: holder, for: "job \(job)") } }
        while engine.waiting == 0 { await Task.yield() }
        #expect(residency.rank("m", at: holder) == .ready(.loaded, pools: []), "on its way")
        // All four must be in line before the load ends: who comes later would find it loaded, which shows nothing.
        while residency.state.withLock({ $0.loads.values.first?.waiters.count ?? 0 }) < 4 { await Task.yield() }
        engine.open()
        for await answer in group { #expect(answer == .ready) }
      }
      #expect(engine.loads == ["m"])
      #expect(residency.models(in: holder) == ["m"])
    }
  }

  @Test func roomIsMadeAcrossProcesses() async {
    await withResidency { residency in
      let (first, second) = (FakeResidentEngine(), FakeResidentEngine())
      let a = await residency.enter(.fake(first, plugin: "a", modelBytes: 600 * Self.mib))
      let b = await residency.enter(.fake(second, plugin: "b", modelBytes: 600 * Self.mib))
      #expect(await acquire(residency, "one", at: a) == .ready)
      #expect(residency.rank("two", at: b) == .blocked(pools: [.machine]))
      residency.release("one", at: a)
      #expect(residency.rank("two", at: b) == .ready(.swap, pools: [.machine]))
      #expect(await acquire(residency, "two", at: b) == .ready)
      #expect(first.unloads == ["one"] && residency.models(in: a).isEmpty)
      #expect(residency.rank("two", at: b) == .ready(.loaded, pools: [.machine]))
    }
  }

  @Test func aLoadThatFindsNoRoomFailsWithTheNumbers() async {
    await withResidency(wait: .zero) { residency in
      let (first, second) = (FakeResidentEngine(), FakeResidentEngine())
      let a = await residency.enter(.fake(first, modelBytes: 600 * Self.mib))
      let b = await residency.enter(.fake(second, modelBytes: 600 * Self.mib))
      #expect(await acquire(residency, "one", at: a) == .ready)
      guard case .crowded(let error) = await acquire(residency, "two", at: b) else {
        Issue.record("there is no room while the other one is in use")
        return
      }
      #expect(error.failureClass == .resource)
      #expect(
        error.message.contains("600.0 MiB") && error.message.contains("200.0 MiB") && error.message.contains("two"))
      #expect(second.loads.isEmpty && first.unloads.isEmpty)
    }
  }

  @Test func aCancelledJobDoesNotWaitForItsLoad() async {
    await withResidency { residency in
      let engine = FakeResidentEngine(gated: true)
      let holder = await residency.enter(.fake(engine))
      async let answer = acquire(residency, "m", at: holder, for: "job 1")
      while engine.waiting == 0 { await Task.yield() }
      residency.abandon("job 1")
      #expect(await answer == .abandoned)
      engine.open()
      while residency.models(in: holder).isEmpty { await Task.yield() }
      #expect(await acquire(residency, "m", at: holder) == .ready)
      #expect(engine.loads == ["m"], "what was begun is of use to the next one")
    }
  }

  @Test func aLostProcessAnswersAllWhoWaitForIt() async {
    await withResidency { residency in
      let (busy, waiting) = (FakeResidentEngine(), FakeResidentEngine())
      let a = await residency.enter(.fake(busy, modelBytes: 900 * Self.mib))
      let b = await residency.enter(.fake(waiting, modelBytes: 900 * Self.mib))
      #expect(await acquire(residency, "one", at: a) == .ready)
      async let answer = acquire(residency, "two", at: b)
      while residency.state.withLock({ $0.loads.isEmpty }) { await Task.yield() }
      residency.leave(b)
      guard case .failed = await answer else {
        Issue.record("its process is gone")
        return
      }
      residency.leave(a)
      #expect(residency.memoryJSON["pools"]?.array?.first?["heldBytes"]?.int == 0)
    }
  }

  @Test func aFailedLoadHoldsNothing() async {
    await withResidency { residency in
      let engine = FakeResidentEngine { .failure(RPCError(.badInput, "\($0) is no model")) }
      let holder = await residency.enter(.fake(engine, modelBytes: 900 * Self.mib))
      #expect(await acquire(residency, "m", at: holder) == .failed(RPCError(.badInput, "m is no model")))
      #expect(residency.memoryJSON["pools"]?.array?.first?["heldBytes"]?.int == 0)
    }
  }

  @Test func pinnedModelsStayUntilTheOperatorUnloadsThem() async {
    var wishes = ResidencyConfiguration()
    wishes.pin = true
    let pinned = wishes
    await withResidency(model: { $0 == "dear" ? pinned : ResidencyConfiguration() }) { residency in
      let (first, second) = (FakeResidentEngine(), FakeResidentEngine())
      let a = await residency.enter(.fake(first, modelBytes: 600 * Self.mib))
      let b = await residency.enter(.fake(second, modelBytes: 600 * Self.mib))
      #expect(await acquire(residency, "dear", at: a) == .ready)
      residency.release("dear", at: a)
      #expect(residency.mustStay(a))
      guard case .impossible(let error) = await acquire(residency, "other", at: b) else {
        Issue.record("a pinned model must not leave")
        return
      }
      #expect(error.message.contains("pinned"))
      #expect(await residency.unload("dear") == (1, 0))
      #expect(await acquire(residency, "other", at: b) == .ready)
      #expect(await residency.unload("other") == (0, 1), "in use")
    }
  }

  @Test func anIdleModelLeavesAfterItsKeepAlive() async {
    var wishes = ResidencyConfiguration()
    wishes.keepAlive = .after(.milliseconds(300))
    let short = wishes
    // The machine's clock: the reaper rests on it.
    let residency = Residency(
      policy: ResidencyPolicy(limits: [:], model: { _ in short }),
      probe: MemoryProbe(available: { _ in [:] }, held: { _, _ in nil }), footprints: Footprints(path: nil),
      clock: SystemHostClock(), log: HostLog(output: nil), onChange: {})
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await residency.run() }
      let engine = FakeResidentEngine()
      let holder = await residency.enter(.fake(engine))
      #expect(await acquire(residency, "m", at: holder) == .ready)
      residency.release("m", at: holder)
      while engine.unloads.isEmpty { await Task.yield() }
      #expect(engine.unloads == ["m"])
      while !residency.models(in: holder).isEmpty { await Task.yield() }
      group.cancelAll()
    }
  }

  /// A box with two devices: what sits on one leaves the other alone, and processors do not wait for devices.
  @Test func devicesHaveMemoryOfTheirOwn() async {
    let (zero, one) = (DeviceID(.cuda, 0), DeviceID(.cuda, 1))
    let limits: [MemoryPool: Int64] = [
      .machine: 8000 * Self.mib, .device("cuda:0"): 1000 * Self.mib, .device("cuda:1"): 1000 * Self.mib,
    ]
    await withResidency(limits: limits) { residency in
      let engines = (0..<3).map { _ in FakeResidentEngine() }
      let first = await residency.enter(.fake(engines[0], modelBytes: 800 * Self.mib, devices: [zero]))
      let second = await residency.enter(.fake(engines[1], modelBytes: 800 * Self.mib, devices: [one]))
      let processor = await residency.enter(.fake(engines[2], modelBytes: 800 * Self.mib))
      #expect(await acquire(residency, "m", at: first, for: "1") == .ready)
      #expect(await acquire(residency, "m", at: second, for: "2") == .ready)
      #expect(await acquire(residency, "n", at: processor, for: "3") == .ready)
      let other = await residency.enter(.fake(FakeResidentEngine(), modelBytes: 800 * Self.mib, devices: [one]))
      #expect(residency.rank("x", at: other) == .blocked(pools: [.device("cuda:1")]))
      let boxes = [
        MachineDevice(id: zero, name: "zero", memoryBytes: UInt64(1000 * Self.mib)),
        MachineDevice(id: one, name: "one", memoryBytes: UInt64(1000 * Self.mib)),
      ]
      #expect(residency.unheld(of: boxes) == [zero: UInt64(200 * Self.mib), one: UInt64(200 * Self.mib)])
    }
  }

  /// What other programs hold is not the ledger's to lend; it comes back without a word.
  @Test func aLoadWaitsForMemoryThatIsTrulyFree() async {
    let free = Shared<Int64>(100 * Self.mib)
    let looks = Shared(0)
    let residency = Residency(
      policy: ResidencyPolicy(limits: [.machine: 1000 * Self.mib], reserve: 50 * Self.mib),
      probe: MemoryProbe(
        available: { _ in
          looks.withLock { $0 += 1 }
          return [.machine: free.withLock { $0 }]
        }, held: { _, _ in nil }), footprints: Footprints(path: nil), clock: clock, log: HostLog(output: nil),
      onChange: {})
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await residency.run() }
      let engine = FakeResidentEngine()
      let holder = await residency.enter(.fake(engine, modelBytes: 600 * Self.mib))
      async let answer = acquire(residency, "m", at: holder)
      while looks.withLock({ $0 }) < 2 { await Task.yield() }
      #expect(engine.loads.isEmpty, "600 MiB do not fit into 50")
      free.withLock { $0 = 640 * Self.mib }
      residency.changed()
      let before = looks.withLock { $0 }
      while looks.withLock({ $0 }) < before + 1 { await Task.yield() }
      #expect(engine.loads.isEmpty, "the reserve stays free")
      free.withLock { $0 = 700 * Self.mib }
      residency.changed()
      #expect(await answer == .ready)
      group.cancelAll()
    }
  }

  /// What is charged: the engine's word, unless it is far from what was measured; and the next load is planned with it.
  @Test func theChargeIsWhatWasTaken() async {
    let held = Shared<Int64>(10 * Self.mib)
    let residency = Residency(
      policy: ResidencyPolicy(limits: [.machine: 4000 * Self.mib]),
      probe: MemoryProbe(
        available: { _ in [:] }, held: { _, _ in MemoryAmounts([.machine: held.withLock { $0 }]) }),
      footprints: Footprints(path: nil), clock: clock, log: HostLog(output: nil), onChange: {})
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await residency.run() }
      let engine = FakeResidentEngine(pid: 1) { model in
        held.withLock { $0 += 500 * Self.mib }
        let claims: [String: UInt64] = ["honest": 480 << 20, "modest": 1, "boastful": 1 << 60]
        return .success(ModelLoadResult(memoryBytes: claims[model]))
      }
      let holder = await residency.enter(.fake(engine, maxModels: 3))
      #expect(await acquire(residency, "honest", at: holder, for: "1") == .ready)
      #expect(await acquire(residency, "modest", at: holder, for: "2") == .ready)
      let charges = Dictionary(
        uniqueKeysWithValues: residency.residentsJSON.map { ($0["id"]?.string ?? "", $0["bytes"]?.int ?? 0) })
      #expect(charges == ["honest": 480 * Self.mib, "modest": 500 * Self.mib])
      let subject = Footprints.Subject(plugin: "fake@1", model: "modest", fileBytes: 0, isOnDevice: false)
      #expect(residency.footprints.estimate(subject, declared: .estimate).machineBytes == 500 * Self.mib)
      #expect(await acquire(residency, "boastful", at: holder, for: "3") == .ready)
      let boasted = residency.residentsJSON.first { $0["id"]?.string == "boastful" }
      #expect(boasted?["bytes"]?.int == 2000 * Self.mib)
      residency.release("boastful", at: holder)
      #expect(await residency.unload("boastful") == (1, 0))
      // An engine that keeps what it was to give back is started anew once nothing is loaded in it.
      residency.release("honest", at: holder)
      residency.release("modest", at: holder)
      #expect(await residency.unload("honest") == (1, 0))
      #expect(!engine.isStopping)
      #expect(await residency.unload("modest") == (1, 0))
      #expect(engine.isStopping)
      group.cancelAll()
    }
  }

  /// What one load has been promised is not free for the next, although it does not show yet.
  @Test func twoLoadsAtOnceDoNotTakeTheSameFreeMemory() async {
    let residency = Residency(
      policy: ResidencyPolicy(limits: [.machine: 4000 * Self.mib]),
      probe: MemoryProbe(available: { _ in [.machine: 1000 * Self.mib] }, held: { _, _ in nil }),
      footprints: Footprints(path: nil), clock: clock, log: HostLog(output: nil), onChange: {})
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await residency.run() }
      let (first, second) = (FakeResidentEngine(gated: true), FakeResidentEngine(gated: true))
      let a = await residency.enter(.fake(first, modelBytes: 600 * Self.mib))
      let b = await residency.enter(.fake(second, modelBytes: 600 * Self.mib))
      async let one = acquire(residency, "one", at: a, for: "1")
      while first.waiting == 0 { await Task.yield() }
      async let two = acquire(residency, "two", at: b, for: "2")
      while residency.state.withLock({ $0.loads.count }) < 2 { await Task.yield() }
      // Looks again and again, and must not begin while the first is under way.
      for _ in 0..<200 {
        residency.changed()
        await Task.yield()
      }
      #expect(second.loads.isEmpty)
      first.open()
      #expect(await one == .ready)
      while second.waiting == 0 { await Task.yield() }
      second.open()
      #expect(await two == .ready)
      group.cancelAll()
    }
  }

  @Test func anIdleProcessIsStoppedForTheMemoryThatItKeeps() async {
    let held = Shared<Int64>(700 * Self.mib)
    let residency = Residency(
      policy: ResidencyPolicy(limits: [.machine: 1000 * Self.mib]),
      probe: MemoryProbe(
        available: { _ in [:] },
        held: { pid, _ in MemoryAmounts([.machine: pid == 1 ? held.withLock { $0 } : Self.mib]) }),
      footprints: Footprints(path: nil), clock: clock, log: HostLog(output: nil), onChange: {})
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await residency.run() }
      let (idle, needy) = (FakeResidentEngine(pid: 1), FakeResidentEngine(pid: 2))
      let a = await residency.enter(.fake(idle))
      let b = await residency.enter(.fake(needy, modelBytes: 600 * Self.mib))
      #expect(residency.rank("m", at: b) == .ready(.swap, pools: [.machine]))
      async let answer = acquire(residency, "m", at: b)
      while !idle.isStopping { await Task.yield() }
      #expect(needy.loads.isEmpty)
      residency.leave(a)
      #expect(await answer == .ready)
      group.cancelAll()
    }
  }
}
