import PluginProtocol

/// Why a job in line is not begun, where there is more to say than that others are before it.
struct WaitReason {
  let worker: Worker
  private let members: [PluginFleet.Member]
  private let now: MonotonicInstant

  init(_ worker: Worker) {
    self.worker = worker
    members = worker.fleet.members
    now = worker.options.clock.now()
  }

  /// One sentence, or nil when an engine will take it.
  func text(_ job: JobID, _ lane: JobLane) -> String? {
    switch worker.dispatcher.intake {
    case .paused: return "the worker is paused; `stoker resume` goes on"
    case .draining: return "the worker drains and begins no jobs; `stoker resume` goes on"
    case .open: break
    }
    if let reason = text(lane) { return reason }
    return worker.blame.isSuspect(job)
      ? "an engine process died with it: it is tried again alone, when a process has nothing else in hand" : nil
  }

  /// Why nothing is begun of a lane.
  func text(_ lane: JobLane) -> String? {
    let engine = worker.fleet.modelEngine(lane.model)
    let serving = members.filter { member in
      guard let manifest = member.entry.plugin?.manifest else { return false }
      return ModelRouter.serves(manifest, lane.kind, lane.model, engine: engine)
    }
    guard let inService = serving.filter({ $0.supervisor != nil }).nonEmpty else {
      let what = "\(lane.kind.cliName) model \(lane.model)"
      if let off = serving.first {
        return
          "plugin \(off.entry.name) serves \(what) but is out of service: \(off.outOfService ?? "it is not ready"); "
          + "the job waits for it, until its deadline if it has one"
      }
      return "no plugin here serves \(what) any more; the job waits for one, until its deadline if it has one; "
        + "`stoker cancel` gives it up"
    }
    let waits = inService.map { member -> MonotonicInstant? in
      let record = member.record.snapshot
      return record.processes.isEmpty ? record.backoffUntil.flatMap { $0 > now ? $0 : nil } : nil
    }
    guard let soonest = waits.compactMap(\.self).min(), !waits.contains(nil) else { return nil }
    let names = inService.map(\.entry.name).joined(separator: ", ")
    return "\(names) died and starts again in \(now.duration(to: soonest).short)"
  }

  /// Lanes in which jobs wait that nothing here serves, for `status`.
  var stranded: [JSONValue] {
    worker.dispatcher.occupiedLanes.filter { !worker.fleet.serves($0) }
      .sorted { ($0.kind.rawValue, $0.model) < ($1.kind.rawValue, $1.model) }
      .compactMap { lane in
        text(lane).map {
          ["kind": .string(lane.kind.rawValue), "model": .string(lane.model), "reason": .string($0)]
        }
      }
  }
}

extension Array {
  fileprivate var nonEmpty: [Element]? { isEmpty ? nil : self }
}
