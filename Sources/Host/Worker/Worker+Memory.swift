import PluginProtocol

extension Worker {
  /// Finds the machine's devices, once, before anything is placed on them.
  func lookAtDevices() async {
    let found = await devices.discover()
    for notice in found.notices { log.write(.warn, "devices", notice) }
    for device in found.devices {
      let bytes = Int64(clamping: device.memoryBytes)
      log.write(.info, "devices", "\(device.id): \(device.name), \(bytes.asBytes)")
      residency.setLimit(.device(device.id.description), bytes)
    }
  }

  /// Tells how large the models of waiting jobs are: before a place asks for the first of them.
  func noteSizes() {
    for lane in dispatcher.occupiedLanes {
      guard let entry = try? models.entry(lane.model), let bytes = try? models.status(entry).bytes else { continue }
      residency.note(lane.model, fileBytes: bytes)
    }
  }

  /// Loads a model now, in a process that is started for it when there is none, and keeps it as its policy says.
  ///
  /// - Parameters:
  ///   - pin: true keeps it until it is unloaded by hand; nil leaves that to the configuration.
  ///   - keepAlive: idle time after which it is unloaded; nil leaves that to the configuration.
  /// - Throws: `RPCError` of one of the control socket's classes, or `resource`.
  @discardableResult
  package func load(
    _ model: String, pin: Bool? = nil, keepAlive: Duration? = nil
  ) async throws(RPCError) -> MemoryLedger.HolderID {
    let route = try await route(model)
    guard let name = route.plugins.first, let supervisor = fleet.member(name)?.supervisor else {
      throw RPCError(control: .noEngine, "no plugin in service can load \(model); see `stoker plugins list`")
    }
    let process: PluginSupervisor.ReadyProcess
    switch await supervisor.process() {
    case .success(let ready): process = ready
    case .failure(let failure):
      throw RPCError(control: .noEngine, "plugin \(name) has no process to load \(model) into: \(failure.reason)")
    }
    guard let holder = process.holder else {
      throw RPCError(control: .badInput, "plugin \(name) loads no models: \(model) is there as soon as it runs")
    }
    let key = "load \(store.newID())"
    switch await residency.acquire(route.model, fileBytes: route.fileBytes, at: holder, for: key) {
    case .ready: break
    case .failed(let error), .crowded(let error), .impossible(let error): throw error
    case .abandoned: throw RPCError(.cancelled, "the load of \(model) was given up")
    }
    defer { residency.release(route.model.id, at: holder) }
    if pin != nil || keepAlive != nil {
      _ = residency.pin(
        route.model.id, at: holder, pin ?? residency.policy.model(route.model.id).pin, keepAlive: keepAlive)
    }
    changes.notify()
    return holder
  }

  /// Unloads a model wherever it is loaded.
  ///
  /// - Throws: `not_found` when it is not loaded; `conflict` when jobs use it.
  package func unload(_ model: String) async throws(RPCError) -> Int {
    // A plain file may be asked for without its ending.
    let id = (try? models.entry(model).id) ?? model
    let (unloaded, busy) = await residency.unload(id)
    if unloaded == 0, busy == 0 {
      throw RPCError(control: .notFound, "model \(model) is not loaded; see `stoker models list`")
    }
    if unloaded == 0 {
      throw RPCError(
        control: .conflict,
        "model \(model) is in use by \(busy.counted("process")) and stays loaded; try again when its jobs are done")
    }
    changes.notify()
    return unloaded
  }

  private func route(_ model: String) async throws(RPCError) -> Route {
    let kind: JobKind
    do throws(ModelError) {
      kind = try models.entry(model).kind
    } catch {
      let serving = fleet.members.compactMap { $0.supervisor?.plugin.manifest }.first { manifest in
        manifest.serves.contains { $0.models.contains { $0.isExact && $0.text == model } }
      }
      if let serving {
        throw RPCError(
          control: .badInput, "\(model) is part of the plugin \(serving.name) and needs no loading: submit a job to it")
      }
      throw RPCError(control: .notFound, error.message)
    }
    do {
      return try await fleet.router.route(kind: kind, model: model)
    } catch let refusal as RoutingRefusal {
      throw RPCError(control: ControlFailure(rawValue: refusal.errorClass) ?? .noEngine, refusal.description)
    } catch {
      throw RPCError(control: .internal, "\(error)")
    }
  }

  /// Keeps the models loaded that the configuration wants preloaded: at the start, and again when an engine has died.
  func preload() async {
    let wanted = options.configuration.residency.filter { $0.value.preload && $0.key.isExact }.map(\.key.text)
    await withDiscardingTaskGroup { group in
      for model in wanted.sorted() { group.addTask { await self.keepLoaded(model) } }
    }
  }

  private func keepLoaded(_ model: String) async {
    let nap = Nap()
    let subscription = residency.changes.subscribe { nap.wake() }
    defer { residency.changes.unsubscribe(subscription) }
    var pause = Duration.milliseconds(500)
    var home: MemoryLedger.HolderID?
    while !Task.isCancelled {
      // By its full id. What was unloaded in a process that lives on, for room, for time or by hand, is not undone here.
      let id = (try? models.entry(model).id) ?? model
      if let there = residency.holders(of: id).first { home = there }
      if let home, residency.isSeated(home) {
        await nap.rest(nil)
        continue
      }
      do throws(RPCError) {
        home = try await load(model)
        pause = .milliseconds(500)
      } catch {
        if Task.isCancelled { return }
        log.write(.warn, "memory", "cannot preload \(model), tries again in \(pause.short): \(error.message)")
        await Nap().rest(pause)
        pause = min(pause * 2, .seconds(300))
      }
    }
  }
}

extension ResidencyPolicy {
  /// What the configuration says, on a machine of that size.
  init(_ configuration: HostConfiguration, _ resources: MachineResources) {
    self.init(
      limits: [.machine: Int64(clamping: configuration.memoryLimit(machine: resources.memoryBytes))],
      reserve: configuration.memory.reserve, deviceThreshold: configuration.memory.vramThreshold,
      waitForRoom: configuration.memory.waitForRoom,
      model: { configuration.residency(of: $0) })
  }
}
