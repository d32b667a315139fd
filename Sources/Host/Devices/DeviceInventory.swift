import Synchronization

/// The devices at one moment.
package struct DeviceSnapshot: Sendable, Equatable {
  /// Ordered by kind and index.
  package var devices: [MachineDevice] = []
  /// What an operator should know: one sentence each.
  package var notices: [String] = []
  package var measuredAt: MonotonicInstant
}

/// The devices of this machine: found once, measured again when somebody asks.
///
/// Nothing runs by itself, so an idle host asks no driver. Looking is rationed: one look at a time, and none within a
/// second after the last; a caller in between gets the last result at once, as `measuredAt` tells, unless it says since when it must be.
package final class DeviceInventory: Sendable {
  private struct State {
    var snapshot: DeviceSnapshot
    var uses: [NVIDIAReport.Process]?
    var refresh = Ration()
    var processes = Ration()
    /// What was measured before this is of no use.
    var staleBefore: MonotonicInstant?
    /// What was said when the devices were found, which a measurement does not take back.
    var found: [String] = []
  }

  /// Who may look now.
  private struct Ration {
    private static let pause = Duration.seconds(1)
    private var began: MonotonicInstant?
    /// When the look began that gave the last answer, and when it ended.
    private(set) var answered: (began: MonotonicInstant, ended: MonotonicInstant)?

    /// - Parameter since: an instant before which an answer is of no use to the asker: then the pause is waived.
    mutating func take(_ now: MonotonicInstant, since: MonotonicInstant?) -> Bool {
      guard began == nil else { return false }
      if let answered, answered.ended.duration(to: now) < Self.pause, answers(since) { return false }
      began = now
      return true
    }

    mutating func giveBack(_ now: MonotonicInstant) {
      answered = (began ?? now, now)
      began = nil
    }

    /// Whether there is an answer, and none from before that instant.
    func answers(_ since: MonotonicInstant?) -> Bool {
      guard let answered else { return false }
      return since.map { answered.began >= $0 } ?? true
    }
  }

  private let configured: [MachineDevice]?
  private let probes: DeviceProbes
  private let clock: any HostClock
  private let state: Mutex<State>

  /// - Parameter configured: the operator's list, which takes the place of what would be found; their free memory is
  ///   never measured. Nil: look.
  package init(
    configured: [MachineDevice]?, probes: DeviceProbes, clock: any HostClock = SystemHostClock()
  ) {
    self.configured = configured
    self.probes = probes
    self.clock = clock
    state = Mutex(
      State(snapshot: DeviceSnapshot(devices: (configured ?? []).sorted { $0.id < $1.id }, measuredAt: clock.now())))
  }

  /// The last look. Before ``discover()``: the configured devices, or none.
  package var snapshot: DeviceSnapshot { state.withLock { $0.snapshot } }

  /// Finds the devices. To be called once, before devices are handed out; takes up to the probes' timeout.
  package func discover() async -> DeviceSnapshot {
    guard configured == nil else { return snapshot }
    let found = await blocking { [probes] in probes.look(cancel: $0) }
    return state.withLock { state in
      guard let found else { return state.snapshot }
      let now = clock.now()
      state.snapshot = DeviceSnapshot(devices: found.devices, notices: found.notices, measuredAt: now)
      state.found = found.notices
      state.refresh.giveBack(now)
      return state.snapshot
    }
  }

  /// Measures free memory again. The devices stay the same ones; one that does not answer any more has none known.
  ///
  /// - Parameter since: what was measured before is of no use, as after an unload: then a second look may follow the
  ///   first within the second, but never run beside it, as `measuredAt` tells.
  package func refresh(since: MonotonicInstant? = nil) async -> DeviceSnapshot {
    let devices = snapshot.devices
    let stale = state.withLock { $0.staleBefore }
    let useful = [since, stale].compactMap { $0 }.max()
    guard configured == nil, !devices.isEmpty, take(\.refresh, since: useful) else { return snapshot }
    let found = await blocking { [probes] in probes.free(devices, cancel: $0) }
    return state.withLock { state in
      let now = clock.now()
      state.refresh.giveBack(now)
      guard let found else { return state.snapshot }
      for at in state.snapshot.devices.indices {
        let device = state.snapshot.devices[at]
        state.snapshot.devices[at].freeBytes = found.bytes[device.id].map { min($0, device.memoryBytes) }
      }
      state.snapshot.notices = state.found + found.notices
      state.snapshot.measuredAt = now
      return state.snapshot
    }
  }

  /// Something has happened to the memory: the next to ask gets no older answer, even within the second.
  package func forgetMeasurements() {
    let now = clock.now()
    state.withLock { $0.staleBefore = now }
  }

  /// Device memory that these processes hold, by device: what the driver tells of each process, summed.
  ///
  /// - Parameter since: what was measured before is of no use, as after a load. Nil: an answer up to a second old
  ///   will do.
  /// - Returns: nil when it cannot be told: there is no tool, it does not know processes by these numbers (in a
  ///   container), it does not tell their memory, or a look from before `since` is still under way.
  package func deviceMemory(
    of processes: Set<Int32>, since: MonotonicInstant? = nil
  ) async -> [DeviceID: UInt64]? {
    let devices = snapshot.devices.filter { $0.kind == .cuda && $0.uuid != nil }
    guard configured == nil, !devices.isEmpty else { return nil }
    if take(\.processes, since: since) {
      let uses = await blocking { [probes] in probes.processes(cancel: $0) } ?? nil
      state.withLock { state in
        state.processes.giveBack(clock.now())
        state.uses = uses
      }
    }
    let answer = state.withLock { $0.processes.answers(since) ? $0.uses : nil }
    guard let uses = answer else { return nil }
    var sum: [DeviceID: UInt64] = [:]
    for use in uses where processes.contains(use.pid) {
      guard let bytes = use.bytes, let device = devices.first(where: { $0.uuid == use.uuid }) else { continue }
      sum[device.id, default: 0] += min(bytes, device.memoryBytes)
    }
    return sum.isEmpty ? nil : sum
  }

  private func take(_ ration: WritableKeyPath<State, Ration>, since: MonotonicInstant?) -> Bool {
    let now = clock.now()
    return state.withLock { $0[keyPath: ration].take(now, since: since) }
  }

  /// Work that may block, on a thread of its own. Nil when the process is out of descriptors.
  private func blocking<Value: Sendable>(_ work: @escaping @Sendable (CancelSignal) -> Value) async -> Value? {
    try? await onBlockingThread(work)
  }
}
