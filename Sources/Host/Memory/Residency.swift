import PluginProtocol
import Synchronization

/// Which models are in which engine processes: loads on demand, makes room by unloading idle ones, gives memory back.
///
/// Decisions are the ledger's; here are their effects. Loads run as children of `run`, so that a job that is cancelled
/// does not wait for the load that it has caused.
package final class Residency: Sendable {
  /// What became of a wish for a model.
  package enum Acquired: Sendable, Equatable {
    /// It is loaded, and stays so until `release`.
    case ready
    case failed(RPCError)
    /// It can never be loaded there, whatever becomes idle: to try again is of no use.
    case impossible(RPCError)
    /// Models in use, or others that are being loaded, hold the room: the job belongs back in line.
    case crowded(RPCError)
    /// Nobody waits for it any more: the job was cancelled, or the host stops.
    case abandoned
  }

  struct Waiter: Sendable {
    var continuation: CheckedContinuation<Acquired, Never>
    var progress: @Sendable (PluginProtocol.ModelProgress) -> Void
  }

  /// A load that is wanted, waits for room, or is under way.
  struct Load: Sendable {
    var model: ModelReference
    var fileBytes: Int64
    var waiters: [String: Waiter] = [:]
    /// When somebody last came to wait for it.
    var wantedAt: MonotonicInstant
    let nap = Nap()
  }

  struct State {
    var ledger: MemoryLedger
    var seats: [MemoryLedger.HolderID: EngineSeat] = [:]
    var loads: [MemoryLedger.Key: Load] = [:]
    var claims: [MemoryLedger.Key: ModelUse] = [:]
    /// What a process held before its first model.
    var firstBase: [MemoryLedger.HolderID: MemoryAmounts] = [:]
    /// Bytes of models' files, for estimates before a load.
    var fileBytes: [String: Int64] = [:]
    /// Counted since the worker's start.
    var loadsDone = 0
    var evictions = 0
  }

  let state: Mutex<State>
  let policy: ResidencyPolicy
  let probe: MemoryProbe
  package let footprints: Footprints
  let clock: any HostClock
  let log: HostLog
  /// Told after every change, without any lock held.
  let onChange: @Sendable () -> Void
  private let starts: AsyncStream<MemoryLedger.Key>
  private let start: AsyncStream<MemoryLedger.Key>.Continuation
  private let reaper = Nap()
  /// Tells listeners of every change.
  package let changes = ChangeSignal()

  package init(
    policy: ResidencyPolicy, probe: MemoryProbe, footprints: Footprints, clock: any HostClock, log: HostLog,
    onChange: @escaping @Sendable () -> Void
  ) {
    self.policy = policy
    self.probe = probe
    self.footprints = footprints
    self.clock = clock
    self.log = log
    self.onChange = onChange
    state = Mutex(State(ledger: MemoryLedger(limits: policy.limits)))
    (starts, start) = AsyncStream.makeStream(of: MemoryLedger.Key.self)
  }

  /// Loads what is wanted and unloads what has stayed its time, until the task is cancelled.
  package func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.unloadExpired() }
      for await key in starts { group.addTask { await self.perform(key) } }
      group.cancelAll()
    }
  }

  /// What a pool may hold in all: known when the devices have been found.
  package func setLimit(_ pool: MemoryPool, _ bytes: Int64) { state.withLock { $0.ledger.limits[pool] = bytes } }

  // MARK: Processes

  /// A process is ready to load models.
  package func enter(_ seat: EngineSeat) async -> MemoryLedger.HolderID {
    var base = MemoryAmounts()
    if let pid = seat.engine.pid { base = await probe.held(pid, seat.devices) ?? base }
    let measured = base
    let id = state.withLock { state in
      let id = state.ledger.enter(
        MemoryLedger.Holder(
          plugin: seat.plugin, base: measured, maxModels: seat.maxModels))
      state.seats[id] = seat
      state.firstBase[id] = measured
      return id
    }
    changed()
    return id
  }

  /// The process is gone, and with it what it held. May be said twice.
  package func leave(_ id: MemoryLedger.HolderID) {
    probe.processLeft()
    let naps = state.withLock { state -> [Nap] in
      state.ledger.leave(id)
      state.seats[id] = nil
      state.firstBase[id] = nil
      state.claims = state.claims.filter { $0.key.holder != id }
      return state.loads.filter { $0.key.holder == id }.map(\.value.nap)
    }
    for nap in naps { nap.wake() }
    changed()
  }

  // MARK: Models

  /// Tells how large a model's files are: known before its first load, the plan is right from the start.
  package func note(_ model: String, fileBytes: Int64) {
    // Names without files are anybody's invention: nothing is kept of them.
    state.withLock { state in
      if fileBytes > 0 || state.fileBytes[model] != nil { state.fileBytes[model] = fileBytes }
    }
  }

  /// Waits until a model is loaded in a process, and keeps it so until `release`.
  ///
  /// - Parameters:
  ///   - key: names the waiter to `abandon`; one wait a key at a time.
  ///   - isCancelled: asked at the last moment at which `abandon` could not yet have found the waiter.
  package func acquire(
    _ model: ModelReference, fileBytes: Int64, at holder: MemoryLedger.HolderID, for key: String,
    progress: @escaping @Sendable (PluginProtocol.ModelProgress) -> Void = { _ in },
    unless isCancelled: @escaping @Sendable () -> Bool = { false }
  ) async -> Acquired {
    let place = MemoryLedger.Key(holder: holder, model: model.id)
    let now = clock.now()
    if state.withLock({ $0.ledger.use(place, now: now) }) { return .ready }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (answer, isFirst): (Acquired?, Bool) = state.withLock { state in
          if Task.isCancelled || isCancelled() { return (.abandoned, false) }
          guard state.seats[holder] != nil else { return (.failed(Residency.gone), false) }
          if state.ledger.use(place, now: now) { return (.ready, false) }
          state.fileBytes[model.id] = fileBytes
          let isFirst = state.loads[place] == nil
          var load = state.loads[place] ?? Load(model: model, fileBytes: fileBytes, wantedAt: now)
          load.wantedAt = now
          load.waiters[key] = Waiter(continuation: continuation, progress: progress)
          state.loads[place] = load
          return (nil, isFirst)
        }
        if let answer { continuation.resume(returning: answer) }
        if isFirst { start.yield(place) }
      }
    } onCancel: {
      abandon(key)
    }
  }

  /// Whoever waits under that key does not wait any longer. The load goes on when it has begun.
  package func abandon(_ key: String) {
    let found = state.withLock { state in
      var found: [(Waiter, Nap)] = []
      for place in state.loads.keys {
        if let waiter = state.loads[place]?.waiters.removeValue(forKey: key), let nap = state.loads[place]?.nap {
          found.append((waiter, nap))
        }
      }
      return found
    }
    for (waiter, nap) in found {
      waiter.continuation.resume(returning: .abandoned)
      nap.wake()
    }
  }

  /// The model may be unloaded again, as far as this user is concerned.
  package func release(_ model: String, at holder: MemoryLedger.HolderID) {
    let now = clock.now()
    state.withLock { $0.ledger.release(MemoryLedger.Key(holder: holder, model: model), now: now) }
    changed()
  }

  /// Pins a loaded model, or lets it go; false when it is not loaded there.
  package func pin(_ model: String, at holder: MemoryLedger.HolderID, _ isPinned: Bool, keepAlive: Duration?) -> Bool {
    let key = MemoryLedger.Key(holder: holder, model: model)
    let isThere = state.withLock { state in
      guard let resident = state.ledger.residents[key], resident.state == .loaded else { return false }
      state.ledger.keep(key, pinned: isPinned, keepAlive: keepAlive ?? resident.keepAlive)
      return true
    }
    changed()
    return isThere
  }

  /// Whether a process has to stay although no job has come for long: a model in it is pinned, or its time to stay is
  /// not over.
  package func mustStay(_ holder: MemoryLedger.HolderID) -> Bool {
    let now = clock.now()
    return state.withLock { state in
      state.ledger.residents(of: holder).contains { key, resident in
        resident.isPinned || resident.state == .loading || policy.model(key.model).preload
          || resident.keepAlive.map { resident.lastUsed.advanced(by: $0) > now } ?? false
      }
    }
  }

  /// Unloads a model wherever it is loaded, pinned or not.
  ///
  /// - Returns: how many copies were unloaded, and how many are in use and stay.
  package func unload(_ model: String) async -> (unloaded: Int, busy: Int) {
    let (keys, busy) = state.withLock { state in
      let copies = state.ledger.residents.filter { $0.key.model == model && $0.value.state != .unloading }
      let begun = copies.keys.filter { state.ledger.beginUnload($0, evenPinned: true) }
      return (Array(begun), copies.count - begun.count)
    }
    await withDiscardingTaskGroup { group in
      for key in keys { group.addTask { await self.finishUnload(key, why: "by the operator's wish") } }
    }
    return (keys.count, busy)
  }

  // MARK: Time

  private func unloadExpired() async {
    while !Task.isCancelled {
      let now = clock.now()
      let (due, next) = state.withLock { state in
        let (due, next) = state.ledger.expired(now: now)
        return (due.filter { state.ledger.beginUnload($0) }, next)
      }
      for key in due { await finishUnload(key, why: "idle for its keepAlive") }
      if !due.isEmpty { continue }
      await reaper.rest(next.map { max(.milliseconds(1), now.duration(to: $0)) })
    }
  }

  /// Something has changed that plans depend on.
  func changed() {
    let naps = state.withLock { $0.loads.values.map(\.nap) }
    for nap in naps { nap.wake() }
    reaper.wake()
    changes.notify()
    onChange()
  }

  static let gone = RPCError(.transient, "the engine is gone")
}
