/// Who holds how much memory, and what a load would need to have moved. A value without clocks or I/O.
///
/// Holders are engine processes; residents are models loaded in them, or being loaded or unloaded. What a resident is
/// charged is reserved from the moment its load begins until its unloading has ended.
package struct MemoryLedger: Sendable {
  /// One engine process, from its handshake to its end.
  package struct HolderID: Hashable, Sendable, Comparable {
    package let number: Int
    package static func < (left: HolderID, right: HolderID) -> Bool { left.number < right.number }
  }

  package struct Holder: Sendable {
    package var plugin: String
    /// What the process takes without any model.
    package var base = MemoryAmounts()
    /// Models that the engine can keep at a time, 1 or more.
    package var maxModels = 1
    /// The process was asked to go: what it holds comes back soon, and nothing is loaded into it any more.
    package var isLeaving = false
  }

  /// A model in a process.
  package struct Key: Hashable, Sendable {
    package var holder: HolderID
    package var model: String

    package init(holder: HolderID, model: String) {
      self.holder = holder
      self.model = model
    }
  }

  package struct Resident: Sendable {
    /// loading → loaded → unloading; any of them → gone.
    package enum State: String, Sendable {
      case loading, loaded, unloading
    }
    package var state = State.loading
    package var charge: MemoryAmounts
    /// What its load was expected to take.
    package var expected: MemoryAmounts
    /// Jobs that use it now.
    package var users = 0
    package var lastUsed: MonotonicInstant
    /// When the load ended, in wall milliseconds since 1970; the start of the load until then.
    package var since: Int64
    package var isPinned = false
    /// Idle time after which it is unloaded; nil for as long as the process lives.
    package var keepAlive: Duration?

    /// Whether room may be made at its expense.
    package var isEvictable: Bool { state == .loaded && users == 0 && !isPinned }
  }

  /// What may be held in each pool in all. A pool without a limit is unbounded.
  package var limits: [MemoryPool: Int64]
  package private(set) var holders: [HolderID: Holder] = [:]
  package private(set) var residents: [Key: Resident] = [:]
  private var nextHolder = 0

  package init(limits: [MemoryPool: Int64]) { self.limits = limits }

  // MARK: Holders

  package mutating func enter(_ holder: Holder) -> HolderID {
    nextHolder += 1
    let id = HolderID(number: nextHolder)
    holders[id] = holder
    return id
  }

  /// The process is gone, and with it all that it held.
  package mutating func leave(_ id: HolderID) {
    holders[id] = nil
    residents = residents.filter { $0.key.holder != id }
  }

  /// The process was asked to go.
  package mutating func markLeaving(_ id: HolderID) { holders[id]?.isLeaving = true }

  package mutating func setBase(_ base: MemoryAmounts, of id: HolderID) { holders[id]?.base = base }

  // MARK: Residents

  /// A load begins: its need is reserved. The plan must have said `load`.
  package mutating func begin(_ key: Key, need: MemoryAmounts, now: MonotonicInstant, wall: Int64) {
    residents[key] = Resident(charge: need, expected: need, lastUsed: now, since: wall)
  }

  /// A load has ended well. `charge` is what it has really taken.
  package mutating func loaded(_ key: Key, charge: MemoryAmounts, now: MonotonicInstant, wall: Int64) {
    guard residents[key]?.state == .loading else { return }
    residents[key]?.state = .loaded
    residents[key]?.charge = charge
    residents[key]?.lastUsed = now
    residents[key]?.since = wall
  }

  /// Marks a resident as leaving. False when it may not: it is used, pinned, or not loaded (any more).
  package mutating func beginUnload(_ key: Key, evenPinned: Bool = false) -> Bool {
    guard let resident = residents[key], resident.state == .loaded, resident.users == 0,
      evenPinned || !resident.isPinned, holders[key.holder]?.isLeaving != true
    else { return false }
    residents[key]?.state = .unloading
    return true
  }

  /// A load that failed, or an unloading that has ended.
  package mutating func remove(_ key: Key) { residents[key] = nil }

  package mutating func use(_ key: Key, now: MonotonicInstant) -> Bool {
    guard residents[key]?.state == .loaded else { return false }
    residents[key]?.users += 1
    residents[key]?.lastUsed = now
    return true
  }

  package mutating func release(_ key: Key, now: MonotonicInstant) {
    guard let resident = residents[key], resident.users > 0 else { return }
    residents[key]?.users -= 1
    residents[key]?.lastUsed = now
  }

  package mutating func keep(_ key: Key, pinned: Bool, keepAlive: Duration?) {
    residents[key]?.isPinned = pinned
    residents[key]?.keepAlive = keepAlive
  }

  // MARK: Sums

  /// What is held or reserved in a pool.
  package func used(_ pool: MemoryPool) -> Int64 {
    let models = residents.values.reduce(Int64(0)) { $0.addingWithoutOverflow($1.charge[pool]) }
    return holders.values.reduce(models) { $0.addingWithoutOverflow($1.base[pool]) }
  }

  package func residents(of holder: HolderID) -> [(key: Key, resident: Resident)] {
    residents.filter { $0.key.holder == holder }.map { (key: $0.key, resident: $0.value) }
  }

  /// Whether a model is loaded, or being loaded, anywhere but in `holder`.
  package func isElsewhere(_ model: String, than holder: HolderID?) -> Bool {
    residents.contains { $0.key.model == model && $0.key.holder != holder && $0.value.state != .unloading }
  }

  /// Idle residents whose time to stay is over, and when the next one's will be.
  package func expired(now: MonotonicInstant) -> (due: [Key], next: MonotonicInstant?) {
    var due: [Key] = []
    var next: MonotonicInstant?
    for (key, resident) in residents where resident.isEvictable {
      guard let keepAlive = resident.keepAlive else { continue }
      // A moment at least: the next job for it may be on its way.
      let end = resident.lastUsed.advanced(by: max(keepAlive, .milliseconds(250)))
      if end <= now { due.append(key) } else { next = min(next ?? end, end) }
    }
    return (due, next)
  }
}
