import PluginProtocol
import Synchronization

@testable import Host

/// An engine without a process: it counts what it is asked, and loads when it is told to. No fake of memory: that is the
/// probe's part.
final class FakeResidentEngine: ResidentEngine {
  struct State {
    var loads: [String] = []
    var unloads: [String] = []
    var isStopping = false
    var gate: [CheckedContinuation<Void, Never>] = []
  }
  let state = Mutex(State())
  let pid: Int32?
  /// Whether loads wait for `open()`.
  let isGated: Bool
  let answer: @Sendable (String) -> Result<ModelLoadResult, RPCError>

  init(
    pid: Int32? = nil, gated: Bool = false,
    answer: @escaping @Sendable (String) -> Result<ModelLoadResult, RPCError> = { _ in .success(ModelLoadResult()) }
  ) {
    self.pid = pid
    isGated = gated
    self.answer = answer
  }

  var isStopping: Bool { state.withLock { $0.isStopping } }
  var loads: [String] { state.withLock { $0.loads } }
  var unloads: [String] { state.withLock { $0.unloads } }
  var waiting: Int { state.withLock { $0.gate.count } }

  func load(
    _ model: ModelReference, progress: @escaping @Sendable (PluginProtocol.ModelProgress) -> Void
  ) async -> Result<ModelLoadResult, RPCError> {
    state.withLock { $0.loads.append(model.id) }
    if isGated { await withCheckedContinuation { continuation in state.withLock { $0.gate.append(continuation) } } }
    return answer(model.id)
  }

  /// Lets the loads that wait go on.
  func open() {
    let waiting = state.withLock { state in
      defer { state.gate = [] }
      return state.gate
    }
    for one in waiting { one.resume() }
  }

  func unload(model: String) async -> RPCError? {
    state.withLock { $0.unloads.append(model) }
    return nil
  }

  func stop(grace: Duration) { state.withLock { $0.isStopping = true } }
}

extension EngineSeat {
  /// A seat on the processors whose models take what is declared.
  static func fake(
    _ engine: FakeResidentEngine, plugin: String = "fake", modelBytes: Int64? = nil, maxModels: Int = 1,
    devices: [DeviceID] = []
  ) -> EngineSeat {
    EngineSeat(
      engine: engine, plugin: plugin, version: "1", declared: modelBytes.map { .bytes($0) } ?? .estimate,
      maxModels: maxModels, devices: devices, claim: { _ in nil })
  }
}
