import PluginProtocol

/// What the end of a process means for its plugin.
package enum EndVerdict: Sendable, Equatable {
  /// The host or a person wanted it: nothing is held against the plugin.
  case wanted(startAgain: Bool)
  /// It will not work until it changes.
  case unusable
  /// Held against it. `atStart`: it had not taken part in the handshake yet.
  case crash(atStart: Bool)
  /// The kernel took its memory: the next start is put off, and nothing is held against it.
  case outOfMemory(atStart: Bool)
}

extension EngineEnd {
  /// A stop, restart, disable, drain, idle exit, or stop for room ends as `.stopped`, whatever the process did when it was
  /// asked. A cancel that had to be enforced is a person's wish, too, and the process is needed again. Everything else
  /// that the host kills for is the engine's own doing.
  package var verdict: EndVerdict {
    switch cause {
    case .stopped: .wanted(startAgain: false)
    case .incompatible: .unusable
    case .killed(let reason): reason.verdict
    case .failedToStart: failure == .resource ? .outOfMemory(atStart: true) : .crash(atStart: true)
    case .crashed: failure == .resource ? .outOfMemory(atStart: false) : .crash(atStart: false)
    }
  }

  /// The cause in a word or two, for the history.
  package var word: String {
    switch verdict {
    case .wanted(startAgain: false): "stopped"
    case .unusable: "incompatible"
    case .outOfMemory: "out of memory"
    case .crash(atStart: true): "failed to start"
    case .wanted, .crash: if case .killed = cause { "killed" } else { "crashed" }
    }
  }
}

extension KillReason {
  fileprivate var verdict: EndVerdict {
    switch self {
    case .ignoredCancel: .wanted(startAgain: true)
    case .startTimeout, .badHandshake: .crash(atStart: true)
    case .jobStalled, .loadStalled, .loadTooLong, .unloadStalled, .pingUnanswered: .crash(atStart: false)
    case .noise, .protocolErrors, .partialLine, .stdinStalled, .closedOutput, .closedInput: .crash(atStart: false)
    case .tooManyProcesses, .diskQuota: .crash(atStart: false)
    }
  }
}
