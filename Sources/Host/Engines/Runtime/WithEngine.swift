import Glibc
import PluginProtocol
import Synchronization

/// All that is needed to start an engine process.
package struct EngineLaunch: Sendable {
  package var process: ProcessSpec
  package var initialize: InitializeParameters
  package var limits: SessionLimits
  /// Time to leave after `shutdown`.
  package var shutdownGrace: Duration
  /// Removed with all it holds when the process and its descendants are gone; nil for none.
  package var temporaryDirectory: String?
  /// What it may take of the disk; nil for no bound.
  package var diskQuota: DiskQuota?
  /// Who sees the wire of the process; told when it is gone.
  package var observers: [any WireObserver] = []

  package init(
    process: ProcessSpec, initialize: InitializeParameters, limits: SessionLimits,
    shutdownGrace: Duration = .seconds(5),
    temporaryDirectory: String? = nil, diskQuota: DiskQuota? = nil
  ) {
    self.process = process
    self.initialize = initialize
    self.limits = limits
    self.shutdownGrace = shutdownGrace
    self.temporaryDirectory = temporaryDirectory
    self.diskQuota = diskQuota
  }
}

/// Starts an engine, hands it to `body` once it is ready, and ends it when `body` returns: with everything that it started.
///
/// Cancelling the task asks the engine to stop; `body` is to return when its jobs do. The returned end says how the
/// process went; the value is nil when it never became ready.
package func withEngine<Value: Sendable>(
  _ launch: EngineLaunch, spawner: ProcessSpawner, clock: any HostClock = SystemHostClock(),
  emit: @escaping @Sendable (EngineEvent) -> Void,
  _ body: (EngineProcess, EngineDescription) async -> Value
) async throws(SpawnError) -> (value: Value?, end: EngineEnd) {
  let engine: EngineProcess
  let observers = launch.observers
  let tell: @Sendable (EngineEvent) -> Void = { event in
    for observer in observers { observer.observe(event, at: clock.now()) }
    emit(event)
  }
  do throws(SpawnError) {
    let spawned = try await spawner.spawn(launch.process)
    engine = try EngineProcess(
      process: spawned, command: launch.process, limits: launch.limits, clock: clock, observers: observers, emit: tell)
    try startThread(engine, temporaryDirectory: launch.temporaryDirectory)
  } catch {
    if let temporaryDirectory = launch.temporaryDirectory { FileTree.remove(temporaryDirectory) }
    for observer in observers { await observer.end() }
    throw error
  }
  engine.initialize(launch.initialize)
  // The handshake is inside: an engine that hangs in its start must not hold up the end of the host.
  let value: Value? = await withTaskCancellationHandler {
    guard let description = await engine.ready() else { return nil }
    return await body(engine, description)
  } onCancel: {
    engine.stop(grace: launch.shutdownGrace)
  }
  engine.stop(grace: launch.shutdownGrace)
  var end = await engine.ended()
  for observer in observers { await observer.end() }
  if end.needsOrphanSweep { end.isLost = try await OrphanReaper.sweep(within: .milliseconds(500)).left > 0 }
  return (value, end)
}

/// A thread for an engine: detached for the kernel, awaited through `ended()`.
private func startThread(_ engine: EngineProcess, temporaryDirectory: String?) throws(SpawnError) {
  let status = DetachedThread.start(named: "engine") {
    var thread = EngineThread(engine)
    let end = thread.run()
    if let temporaryDirectory { FileTree.remove(temporaryDirectory) }
    engine.finish(end)
  }
  guard status == 0 else { throw .host(operation: "starting a thread", errno: status) }
}

extension EngineProcess {
  /// The process is gone: everybody who waits gets an answer.
  fileprivate func finish(_ end: EngineEnd) {
    // In one step: whoever comes later finds the result, whoever came before is among those that are answered.
    let (effects, waiter, gone) = core.withLock { core in
      let effects = core.absorb(core.session.ended(end.diagnosis), now: clock.now()) + core.release()
      core.result = end
      return (effects, core.end.take(), core.takeGone())
    }
    perform(effects)
    for waiter in gone { waiter.resume() }
    waiter?.resume(returning: end)
  }
}
