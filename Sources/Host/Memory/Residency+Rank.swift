import PluginProtocol
import Synchronization

extension Residency {
  /// How well a process is prepared for jobs with that model. Takes no longer than a look at the ledger.
  package func rank(_ model: String, at holder: MemoryLedger.HolderID) -> LaneRank? {
    state.withLock { state in
      let key = MemoryLedger.Key(holder: holder, model: model)
      guard state.seats[holder] != nil else { return nil }
      // On its way already, for another job of the same model.
      if state.ledger.residents[key]?.state == .loading { return .ready(.loaded, pools: []) }
      let need = state.need(key, footprints)
      return rank(state.ledger.plan(request(model, need), holder: holder), model, need, holder, state.ledger)
    }
  }

  /// How well a process that is yet to be started would be.
  package func rank(_ model: String, of manifest: PluginManifest, on devices: [DeviceID]) -> LaneRank? {
    state.withLock { state in
      let need = state.need(
        model, fileBytes: nil, plugin: manifest.name, version: manifest.version,
        declared: manifest.device.memoryPerModel, devices: devices, footprints)
      let plan = state.ledger.plan(request(model, need), holder: nil, maxModels: manifest.residentModels)
      return rank(plan, model, need, nil, state.ledger)
    }
  }

  private func rank(
    _ plan: MemoryLedger.Plan, _ model: String, _ need: MemoryAmounts, _ holder: MemoryLedger.HolderID?,
    _ ledger: MemoryLedger
  ) -> LaneRank? {
    let pools = Set(need.pools)
    let isCopy = ledger.isElsewhere(model, than: holder)
    switch plan {
    case .present: return .ready(.loaded, pools: pools)
    case .load: return .ready(isCopy ? .copy : .room, pools: pools)
    case .evict, .stop: return .ready(isCopy ? .copy : .swap, pools: pools)
    case .wait(.memory(let pool, _)): return .blocked(pools: [pool])
    case .wait: return nil
    // In line it would wait for ever.
    case .never: return .ready(.hopeless, pools: [])
    }
  }

  /// Device memory that models do not hold, by device: for choosing where the next process goes.
  package func unheld(of devices: [MachineDevice]) -> [DeviceID: UInt64] {
    state.withLock { state in
      var free: [DeviceID: UInt64] = [:]
      for device in devices {
        let pool = MemoryPool.device(device.id.description)
        let limit = state.ledger.limits[pool] ?? Int64(clamping: device.memoryBytes)
        // Other programs may sit there, too.
        free[device.id] = min(UInt64(max(0, limit - state.ledger.used(pool))), device.freeBytes ?? .max)
      }
      return free
    }
  }

  // MARK: Views

  /// Every resident, as `stoker models` shows it.
  package var residentsJSON: [JSONValue] {
    state.withLock { state in
      state.ledger.residents.sorted { ($0.key.model, $0.key.holder) < ($1.key.model, $1.key.holder) }
        .map { key, resident in
          let seat = state.seats[key.holder]
          return .compact([
            "id": .string(key.model), "plugin": JSONValue(seat?.plugin), "pid": JSONValue(seat?.engine.pid),
            "since": .int(resident.since), "state": .string(resident.state.rawValue),
            "device": .string(seat?.devices.map(\.description).joined(separator: ",").nonEmpty ?? "cpu"),
            "bytes": .int(resident.charge.total), "expectedBytes": .int(resident.expected.total),
            "users": JSONValue(resident.users),
            "pinned": .bool(resident.isPinned),
          ])
        }
    }
  }

  /// Whether the process is there.
  package func isSeated(_ holder: MemoryLedger.HolderID) -> Bool { state.withLock { $0.seats[holder] != nil } }

  /// Models that are loaded in a process.
  package func models(in holder: MemoryLedger.HolderID) -> [String] {
    state.withLock { $0.ledger.residents(of: holder).filter { $0.resident.state == .loaded }.map(\.key.model).sorted() }
  }

  /// Processes in which a model is loaded.
  package func holders(of model: String) -> [MemoryLedger.HolderID] {
    state.withLock { state in
      state.ledger.residents.filter { $0.key.model == model && $0.value.state == .loaded }.map(\.key.holder).sorted()
    }
  }

  /// What each pool may hold and holds, and what is counted.
  package var memoryJSON: JSONValue {
    state.withLock { state in
      let pools = state.ledger.limits.sorted { $0.key < $1.key }.map { pool, limit -> JSONValue in
        ["pool": .string(pool.description), "limitBytes": .int(limit), "heldBytes": .int(state.ledger.used(pool))]
      }
      return [
        "pools": .array(pools), "loads": JSONValue(state.loadsDone), "evictions": JSONValue(state.evictions),
      ]
    }
  }
}

extension String {
  fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}
