import PluginProtocol
import Synchronization

extension Residency {
  /// What one look at the ledger has decided about a load.
  private enum Step {
    /// The engine is asked now; its need is reserved.
    case send(EngineSeat, Load, MemoryAmounts)
    case evict([MemoryLedger.Key])
    case stop([(plugin: String, engine: any ResidentEngine)])
    case wait(String)
    case end(Acquired)
    /// Nobody wants it any more.
    case drop
  }

  /// Takes one load from the wish to its end.
  func perform(_ key: MemoryLedger.Key) async {
    var evictedAt: MonotonicInstant?
    while true {
      let pools = state.withLock { $0.need(key, footprints).pools }
      let available = await probe.available(pools)
      switch decide(key, available, evictedAt) {
      case .send(let seat, let load, let need): return await send(key, seat, load, need)
      case .evict(let victims):
        await withDiscardingTaskGroup { group in
          for victim in victims {
            group.addTask { await self.finishUnload(victim, why: "to make room for \(key.model)") }
          }
        }
        evictedAt = clock.now()
      case .stop(let engines):
        for (plugin, engine) in engines {
          log.write(.info, plugin, "is idle and stopped: its memory is needed for \(key.model)")
          engine.stop(grace: .seconds(2))
        }
      case .wait(let what):
        log.write(.debug, "memory", "\(key.model) waits: \(what)")
        let nap = state.withLock { $0.loads[key]?.nap }
        // Not only for changes here: other programs give memory back without a word.
        await nap?.rest(ResidencyPolicy.poll)
      case .end(let answer): return end(key, answer)
      case .drop: return
      }
    }
  }

  private func decide(
    _ key: MemoryLedger.Key, _ available: [MemoryPool: Int64], _ evictedAt: MonotonicInstant?
  ) -> Step {
    let now = clock.now()
    let wall = Timestamp.now()
    return state.withLock { state in
      guard let load = state.loads[key] else { return .drop }
      guard let seat = state.seats[key.holder], !seat.engine.isStopping else { return .end(.failed(Residency.gone)) }
      guard !load.waiters.isEmpty else {
        state.loads[key] = nil
        return .drop
      }
      let request = request(key.model, state.need(key, footprints))
      // Measured: what other programs have taken, and what an engine has not given back yet, counts as held.
      var bounds: [MemoryPool: Int64] = [:]
      for (pool, free) in available {
        let lendable = free - (pool == .machine ? policy.reserve : 0)
        // What others have reserved and perhaps not taken yet does not show in what is free.
        let promised = state.ledger.residents.values.filter { $0.state == .loading }
          .reduce(Int64(0)) { $0.addingWithoutOverflow($1.charge[pool]) }
        bounds[pool] = (state.ledger.used(pool) - promised).addingWithoutOverflow(lendable)
      }
      let plan = state.ledger.plan(request, holder: key.holder, bounds: bounds)
      // By the ledger alone: without what other programs do to the memory.
      lazy var undisturbed = state.ledger.plan(request, holder: key.holder)
      switch plan {
      case .evict, .stop:
        // What was given back a moment ago may not show yet: nobody else has to leave for that.
        if let evictedAt, evictedAt.duration(to: now) < ResidencyPolicy.settling, undisturbed == .load {
          return .wait("memory that is being given back")
        }
      default: break
      }
      switch plan {
      case .present: return .end(.ready)
      case .load:
        state.ledger.begin(key, need: request.need, now: now, wall: wall)
        return .send(seat, load, request.need)
      case .stop(let holders):
        for holder in holders { state.ledger.markLeaving(holder) }
        return .stop(holders.compactMap { state.seats[$0] }.map { ($0.plugin, $0.engine) })
      case .evict(let victims):
        // All under one lock: nobody can have taken one of them into use since the plan was made.
        let begun = victims.filter { state.ledger.beginUnload($0) }
        state.evictions += begun.count
        return .evict(begun)
      case .never(let reason):
        return .end(.impossible(RPCError(.resource, "model \(key.model) cannot be loaded: \(reason)")))
      case .wait(let obstacle):
        // A load that is under way has a clock of its own.
        let isLoading = state.ledger.residents.values.contains { $0.state == .loading }
        guard now >= load.wantedAt.advanced(by: policy.waitForRoom), obstacle != .changing, !isLoading else {
          return .wait("\(obstacle)")
        }
        let error = noRoom(key.model, request.need, obstacle, state.ledger, available)
        if case .wait = undisturbed { return .end(.crowded(error)) }
        return .end(.failed(error))
      }
    }
  }

  /// The request as the operator's policy makes it.
  func request(_ model: String, _ need: MemoryAmounts) -> LoadRequest {
    LoadRequest(
      model: model, need: need, maxCopies: policy.model(model).maxResident, deviceThreshold: policy.deviceThreshold)
  }

  private func noRoom(
    _ model: String, _ need: MemoryAmounts, _ obstacle: MemoryLedger.Obstacle, _ ledger: MemoryLedger,
    _ available: [MemoryPool: Int64]
  ) -> RPCError {
    guard case .memory(let pool, let lacking) = obstacle else {
      return RPCError(
        .resource, "model \(model) cannot be loaded yet: its engine is busy with other models; try again later")
    }
    let free = available[pool].map { ", \($0.asBytes) are free on the machine" } ?? ""
    let limit = ledger.limits[pool].map { " of \($0.asBytes)" } ?? ""
    return RPCError(
      .resource,
      "model \(model) needs about \(need[pool].asBytes) of \(pool), and \(lacking.asBytes) are lacking: Stoker's engines hold \(ledger.used(pool).asBytes)\(limit)\(free); free memory, unload a model, or raise memory.limit"
    )
  }

  // MARK: Load

  private func send(_ key: MemoryLedger.Key, _ seat: EngineSeat, _ load: Load, _ need: MemoryAmounts) async {
    let claim = seat.claim(key.model)
    log.write(.info, seat.plugin, "loads \(key.model), about \(need.total.asBytes)")
    let before = await held(seat)
    let started = clock.now()
    let result = await seat.engine.load(load.model) { progress in
      let listeners = self.state.withLock { $0.loads[key]?.waiters.values.map(\.progress) ?? [] }
      for listener in listeners { listener(progress) }
    }
    switch result {
    case .failure(let error):
      state.withLock { $0.ledger.remove(key) }
      end(key, .failed(error))
    case .success(let answer):
      let hasOthers = state.withLock { $0.ledger.residents(of: key.holder).count > 1 }
      let charge = charge(answer, seat, before: before, after: await held(seat), need: need, hasOthers: hasOthers)
      let subject = Footprints.Subject(
        plugin: "\(seat.plugin)@\(seat.version)", model: key.model, fileBytes: load.fileBytes,
        isOnDevice: !seat.devices.isEmpty)
      footprints.learn(subject, Footprints.Footprint(charge))
      let now = clock.now()
      let wall = Timestamp.now()
      let wishes = policy.model(key.model)
      state.withLock { state in
        state.loadsDone += 1
        state.ledger.loaded(key, charge: charge, now: now, wall: wall)
        state.ledger.keep(key, pinned: wishes.pin, keepAlive: wishes.keepAlive?.time)
        if state.seats[key.holder] != nil { state.claims[key] = claim }
      }
      log.write(
        .info, seat.plugin,
        "loaded \(key.model) in \(started.duration(to: now).short): \(charge.total.asBytes) (about \(need.total.asBytes) were expected)"
      )
      end(key, .ready)
    }
  }

  private func held(_ seat: EngineSeat) async -> MemoryAmounts? {
    guard let pid = seat.engine.pid else { return nil }
    return await probe.held(pid, seat.devices)
  }

  /// What a load has taken: what the engine says, else what was measured, else what was expected. An engine that says
  /// less than half of what was measured is not believed, nor one that says far more.
  private func charge(
    _ answer: ModelLoadResult, _ seat: EngineSeat, before: MemoryAmounts?, after: MemoryAmounts?, need: MemoryAmounts,
    hasOthers: Bool
  ) -> MemoryAmounts {
    var measured: MemoryAmounts?
    if let before, let after {
      var grown = MemoryAmounts()
      for pool in after.pools {
        // Nothing before, beside other models: then it was not measured, and the growth would be theirs.
        if pool != .machine, before[pool] == 0, hasOthers { continue }
        grown[pool] = after[pool] - before[pool]
      }
      measured = grown
    }
    guard answer.memoryBytes != nil || answer.deviceBytes != nil else {
      var charge = measured ?? need
      // Not measured is not nothing.
      for pool in need.pools where pool != .machine && charge[pool] == 0 { charge[pool] = need[pool] }
      return charge
    }
    var reported = Footprints.Footprint(
      machineBytes: Int64(clamping: answer.memoryBytes ?? 0), deviceBytes: Int64(clamping: answer.deviceBytes ?? 0)
    ).amounts(on: seat.devices)
    for pool in measured?.pools ?? [] {
      let seen = measured?[pool] ?? 0
      if reported[pool] < seen / 2 { reported[pool] = seen }
    }
    // One that claims the whole machine would keep every other engine from loading anything.
    if let measured {
      let seen = measured[.machine]
      let most = max(seen > .max / 4 ? .max : seen * 4, seen.addingWithoutOverflow(1 << 30))
      reported[.machine] = min(reported[.machine], most)
    }
    return reported
  }

  /// A load is over: everybody who waits for it hears so.
  private func end(_ key: MemoryLedger.Key, _ answer: Acquired) {
    let now = clock.now()
    let waiters = state.withLock { state -> [(Waiter, Acquired)] in
      let waiters = state.loads.removeValue(forKey: key)?.waiters.values.map { $0 } ?? []
      return waiters.map { waiter in
        // Each is a user of its own from the first moment, or another who waits would have it unloaded at once.
        if answer == .ready, !state.ledger.use(key, now: now) { return (waiter, .failed(Residency.gone)) }
        return (waiter, answer)
      }
    }
    for (waiter, answer) in waiters { waiter.continuation.resume(returning: answer) }
    changed()
  }

  // MARK: Unload

  /// Unloads a resident that the ledger has marked as leaving.
  func finishUnload(_ key: MemoryLedger.Key, why: String) async {
    let found = state.withLock { state in
      state.seats[key.holder].map { seat in (seat, state.ledger.residents[key]?.charge ?? MemoryAmounts()) }
    }
    guard let (seat, charge) = found else { return }
    let error = await seat.engine.unload(model: key.model)
    let after = error == nil ? await held(seat) : nil
    let mustRestart: Bool = state.withLock { state in
      if error != nil, state.seats[key.holder] != nil {
        let others = state.ledger.residents(of: key.holder).filter { $0.key != key }
        if seat.engine.isStopping || others.allSatisfy({ $0.resident.users == 0 }) {
          // Its memory comes back with the process, and is counted until then.
          state.ledger.markLeaving(key.holder)
          return true
        }
        // It stays, and so does the memory: the process's own from now on.
        state.ledger.setBase((state.ledger.holders[key.holder]?.base ?? MemoryAmounts()) + charge, of: key.holder)
      }
      state.ledger.remove(key)
      state.claims[key] = nil
      guard error == nil, state.seats[key.holder] != nil else { return false }
      guard let after, let first = state.firstBase[key.holder] else { return false }
      // What it has kept is the process's own from now on: the next plan must know.
      let others = state.ledger.residents(of: key.holder)
      var base = MemoryAmounts()
      for pool in after.pools {
        base[pool] = after[pool] - others.reduce(Int64(0)) { $0.addingWithoutOverflow($1.resident.charge[pool]) }
      }
      state.ledger.setBase(base, of: key.holder)
      guard others.isEmpty, state.loads.keys.allSatisfy({ $0.holder != key.holder }) else { return false }
      let keepsMuch = base.pools.contains { pool in
        base[pool] - first[pool] > max(ResidencyPolicy.keptAfterUnload, charge[pool] / 4)
      }
      if keepsMuch { state.ledger.markLeaving(key.holder) }
      return keepsMuch
    }
    if let error {
      log.write(.warn, seat.plugin, "did not unload \(key.model): \(error.message)")
    } else {
      log.write(.info, seat.plugin, "unloaded \(key.model) (\(charge.total.asBytes)) \(why)")
    }
    if mustRestart {
      log.write(.info, seat.plugin, "keeps memory of unloaded models: its process is stopped to get it back")
      seat.engine.stop(grace: .seconds(2))
    }
    changed()
  }
}

extension Residency.State {
  /// What a load is expected to take, by pool.
  func need(_ key: MemoryLedger.Key, _ footprints: Footprints) -> MemoryAmounts {
    guard let seat = seats[key.holder] else { return MemoryAmounts() }
    return need(
      key.model, fileBytes: loads[key]?.fileBytes, plugin: seat.plugin, version: seat.version,
      declared: seat.declared, devices: seat.devices, footprints)
  }

  func need(
    _ model: String, fileBytes known: Int64?, plugin: String, version: String,
    declared: PluginDevicePreference.ModelMemory, devices: [DeviceID], _ footprints: Footprints
  ) -> MemoryAmounts {
    let subject = Footprints.Subject(
      plugin: "\(plugin)@\(version)", model: model, fileBytes: known ?? fileBytes[model] ?? 0,
      isOnDevice: !devices.isEmpty)
    return footprints.estimate(subject, declared: declared).amounts(on: devices)
  }
}
