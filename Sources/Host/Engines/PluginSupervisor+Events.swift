import PluginProtocol

extension PluginSupervisor {
  /// - Parameter process: the process's number in the record.
  func listener(_ process: Int, _ launch: EngineLaunch) -> @Sendable (EngineEvent) -> Void {
    let sandbox = launch.process.sandbox
    let record = record
    let log = context.log
    let name = plugin.name
    let version = plugin.manifest.version
    return { event in
      switch event {
      case .started(let pid):
        record.update(process) { $0.pid = pid }
        record.note("started", "version \(version)", pid: pid)
      case .confined(let inForce):
        record.update(process) { $0.sandbox = inForce }
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
      case .killed(let reason): log.write(.error, name, "killed: \(reason)")
      // Noted when its counters are known, too.
      case .died: break
      }
    }
  }
}

extension PluginSupervisor {
  /// Puts the end of a process into the history, with what it has counted.
  func note(_ end: EngineEnd, _ served: Served) {
    let isCrash =
      switch end.verdict {
      case .crash, .outOfMemory: true
      case .wanted, .unusable: false
      }
    if isCrash { record.update { $0.counters.crashes += 1 } }
    let jobs = served.finished == 1 ? "1 job" : "\(served.finished) jobs"
    let counted = end.counters.text
    record.note(
      end.word, "\(end.diagnosis); after \(end.lifetime.short) and \(jobs)" + (counted.isEmpty ? "" : "; " + counted),
      pid: end.pid, evidence: end.evidence)
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
