/// What a load asks for.
package struct LoadRequest: Sendable {
  package var model: String
  package var need: MemoryAmounts
  /// Copies of the model that may be loaded at a time over all processes; nil for any number.
  package var maxCopies: Int?
  /// What one model may take on devices; nil for any amount.
  package var deviceThreshold: Int64?

  package init(model: String, need: MemoryAmounts, maxCopies: Int? = nil, deviceThreshold: Int64? = nil) {
    self.model = model
    self.need = need
    self.maxCopies = maxCopies
    self.deviceThreshold = deviceThreshold
  }
}

extension MemoryLedger {
  /// Why a load has to wait.
  package enum Obstacle: Sendable, Equatable {
    /// The process is loading or unloading something, or a process that was asked to go will give back enough.
    case changing
    /// As many copies as are allowed are loaded, and all are in use.
    case copies
    /// The process holds as many models as it can, and all are in use.
    case slots
    /// A pool lacks that many bytes, which busy models hold.
    case memory(MemoryPool, lacking: Int64)
  }

  /// What has to happen before a model can be used.
  package enum Plan: Sendable, Equatable {
    /// It is loaded already.
    case present
    /// It can be loaded now.
    case load
    /// It can be loaded once these are gone.
    case evict([Key])
    /// Unloading all that may leave is not enough; the memory that these idle processes keep besides would do.
    case stop([HolderID])
    case wait(Obstacle)
    /// It cannot be loaded, whatever becomes idle: one sentence with the numbers.
    case never(String)
  }

  /// Plans a load.
  ///
  /// Evicts idle residents, least recently used first; never pinned ones and never those in use.
  ///
  /// - Parameters:
  ///   - holder: the process, or nil for one that is yet to be started and could keep `maxModels`.
  ///   - bounds: what the pools may hold as things are measured now, where that is less than their limits.
  package func plan(
    _ request: LoadRequest, holder: HolderID?, maxModels: Int = 1, bounds: [MemoryPool: Int64] = [:]
  ) -> Plan {
    if let holder {
      guard let known = holders[holder], !known.isLeaving else { return .wait(.changing) }
      if let resident = residents[Key(holder: holder, model: request.model)] {
        return resident.state == .loaded ? .present : .wait(.changing)
      }
    }
    if let reason = impossible(request, holder) { return .never(reason) }
    let here = holder.map(residents(of:)) ?? []
    if here.contains(where: { $0.resident.state != .loaded }) { return .wait(.changing) }

    var victims: [Key] = []
    if let limit = request.maxCopies {
      let copies = residents.filter { $0.key.model == request.model }
      if copies.count >= limit {
        let idle = copies.filter(\.value.isEvictable).min { $0.value.lastUsed < $1.value.lastUsed }
        guard copies.count == limit, let idle else { return .wait(.copies) }
        victims.append(idle.key)
      }
    }
    let room = holder.flatMap { holders[$0]?.maxModels } ?? maxModels
    if here.count >= room {
      let idle = here.filter { $0.resident.isEvictable && !victims.contains($0.key) }
        .min { $0.resident.lastUsed < $1.resident.lastUsed }
      guard let idle else {
        if here.allSatisfy(\.resident.isPinned) {
          let names = here.map(\.key.model).sorted().joined(separator: ", ")
          return .never("its engine can keep \(room.counted("model")), and \(names) is pinned there")
        }
        return .wait(.slots)
      }
      victims.append(idle.key)
    }
    return planMemory(request, holder, required: victims, bounds)
  }

  /// - Parameter required: residents that have to go for other reasons than memory.
  private func planMemory(
    _ request: LoadRequest, _ holder: HolderID?, required: [Key], _ bounds: [MemoryPool: Int64]
  ) -> Plan {
    var victims = required
    let candidates = residents.filter { $0.value.isEvictable && !isChanging($0.key.holder) }
      .sorted { ($0.value.lastUsed, $0.key.model) < ($1.value.lastUsed, $1.key.model) }
    for pool in request.need.pools {
      for candidate in candidates where lacking(pool, request, without: victims, bounds) > 0 {
        guard candidate.value.charge[pool] > 0, !victims.contains(candidate.key) else { continue }
        victims.append(candidate.key)
      }
      let lacking = lacking(pool, request, without: victims, bounds)
      if lacking > 0 { return planStop(pool, lacking, holder) }
    }
    // A large one chosen late may be enough alone: the others stay.
    for victim in victims.reversed() where !required.contains(victim) {
      let others = victims.filter { $0 != victim }
      if request.need.pools.allSatisfy({ lacking($0, request, without: others, bounds) <= 0 }) { victims = others }
    }
    return victims.isEmpty ? .load : .evict(victims)
  }

  /// Frees memory that processes keep besides their models, by ending those in which nothing is in use.
  private func planStop(_ pool: MemoryPool, _ lacking: Int64, _ holder: HolderID?) -> Plan {
    var rest = lacking
    for (id, leaving) in holders where leaving.isLeaving {
      rest -= residents(of: id).reduce(leaving.base[pool]) { $0.addingWithoutOverflow($1.resident.charge[pool]) }
    }
    if rest <= 0 { return .wait(.changing) }
    let idle = holders.filter { id, other in
      id != holder && !other.isLeaving && other.base[pool] > 0
        && residents(of: id).allSatisfy { $0.resident.isEvictable }
    }.sorted { ($1.value.base[pool], $0.key) < ($0.value.base[pool], $1.key) }
    var stopped: [HolderID] = []
    for (id, other) in idle where rest > 0 {
      rest -= other.base[pool]
      stopped.append(id)
    }
    return rest > 0 ? .wait(.memory(pool, lacking: lacking)) : .stop(stopped)
  }

  /// Bytes that a pool lacks for a request once `victims` are gone; 0 or less when there is room.
  private func lacking(
    _ pool: MemoryPool, _ request: LoadRequest, without victims: [Key], _ bounds: [MemoryPool: Int64]
  ) -> Int64 {
    let limit = min(limits[pool] ?? .max, bounds[pool] ?? .max)
    guard limit < .max else { return 0 }
    let freed = victims.reduce(Int64(0)) { $0.addingWithoutOverflow(residents[$1]?.charge[pool] ?? 0) }
    return (used(pool) - freed).addingWithoutOverflow(request.need[pool]) - limit
  }

  private func isChanging(_ holder: HolderID) -> Bool {
    holders[holder]?.isLeaving != false || residents.contains { $0.key.holder == holder && $0.value.state != .loaded }
  }

  /// Why no eviction could help.
  private func impossible(_ request: LoadRequest, _ holder: HolderID?) -> String? {
    let devices = request.need.pools.filter { $0 != .machine }
    let onDevices = devices.reduce(Int64(0)) { $0.addingWithoutOverflow(request.need[$1]) }
    if let threshold = request.deviceThreshold, onDevices > threshold {
      let names = devices.map(\.description).joined(separator: ", ")
      return
        "it needs about \(onDevices.asBytes) on \(names), and memory.vramThreshold lets one model have \(threshold.asBytes)"
    }
    for pool in request.need.pools {
      let need = request.need[pool]
      guard let limit = limits[pool] else { continue }
      if need > limit {
        return "it needs about \(need.asBytes) of \(pool), and Stoker may use \(limit.asBytes) in all"
      }
      let pinned = residents.filter { $0.value.isPinned && $0.key.model != request.model }
      // Processes that have to stay keep what they hold besides models, too.
      let staying = Set(pinned.keys.map(\.holder)).union(holder.map { [$0] } ?? [])
      let models = pinned.values.reduce(Int64(0)) { $0.addingWithoutOverflow($1.charge[pool]) }
      let held = staying.reduce(models) { $0.addingWithoutOverflow(holders[$1]?.base[pool] ?? 0) }
      if need.addingWithoutOverflow(held) > limit {
        let names = Set(pinned.filter { $0.value.charge[pool] > 0 }.map(\.key.model)).sorted().joined(separator: ", ")
        let holding = names.isEmpty ? "its engine holds" : "its engine and pinned models (\(names)) hold"
        return
          "it needs about \(need.asBytes) of \(pool); of the \(limit.asBytes) that Stoker may use, \(holding) \(held.asBytes)"
      }
    }
    return nil
  }
}
