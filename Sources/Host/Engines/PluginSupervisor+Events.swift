import PluginProtocol

extension PluginSupervisor {
  func listener(_ slot: Int, _ launch: EngineLaunch) -> @Sendable (EngineEvent) -> Void {
    let sandbox = launch.process.sandbox
    let record = record
    let log = context.log
    let name = plugin.name
    return { event in
      switch event {
      case .started(let pid): record.update { $0.processes[slot]?.pid = pid }
      case .confined(let inForce):
        record.update { $0.processes[slot]?.sandbox = inForce }
        log.write(
          .info, name,
          "sandbox: \(inForce.text(allowsNetwork: sandbox?.allowsNetwork == true)); it may change \(sandbox?.write.joined(separator: ", ") ?? "")"
        )
      case .ready(let engine):
        record.note("ready", "\(engine.name) \(engine.version)")
        log.write(.info, name, "ready: \(engine.name) \(engine.version)")
      case .stderr(let line):
        record.stderr(line)
        log.write(.debug, name, line)
      case .stderrFlood(let limit):
        record.note("flood", "writes more than \(limit) lines a minute to stderr")
        log.write(.warn, name, "writes more than \(limit) lines a minute to stderr: the rest of them is dropped")
      case .stderrDropped(let count, let last):
        for line in last { record.stderr(line) }
        log.write(.warn, name, "\(count) lines of stderr came too fast and were dropped")
      case .noise(let line):
        log.write(.warn, name, "not a message on stdout (did you print to stdout?): \(line)")
      case .log(let message):
        log.write(LogLevel(message.level), name, message.message, jobText: message.jobID)
      case .protocolError(let what, let evidence):
        log.write(.warn, name, "protocol error: \(what): \(evidence.prefix(200))")
      case .killed(let reason):
        record.note("killed", reason.description)
        log.write(.error, name, "killed: \(reason)")
      case .died(let diagnosis): record.note("ended", diagnosis)
      }
    }
  }
}

extension LogLevel {
  init(_ level: LogMessage.Level) {
    switch level {
    case .debug: self = .debug
    case .info: self = .info
    case .warn: self = .warn
    case .error: self = .error
    }
  }
}
