import PluginProtocol
import Synchronization

/// How a process came to be of no more use, with what is left to look at. For the judgement on its jobs and for people.
package struct EngineDeath: Sendable {
  /// Why the host ended it; nil when it died by itself.
  package var killReason: KillReason?
  package var isOutOfMemory: Bool
  /// Jobs and loads that it had in hand.
  package var inHand: Int
  /// Signal or exit status, stderr and wire.
  package var evidence: JSONValue

  /// Bytes kept of a line of stderr: evidence is stored with each attempt.
  static let stderrBytes = 1024

  init?(_ core: EngineCore) {
    guard let inHand = core.session.inHandAtEnd else { return nil }
    self.inHand = inHand
    killReason = core.killReason
    isOutOfMemory = core.death?.cause == .outOfMemory
    var members: [String: JSONValue] = [:]
    if let pid = core.pid { members["pid"] = JSONValue(pid) }
    if let killReason = core.killReason { members["killedFor"] = .string(HostLog.neutralise("\(killReason)")) }
    switch core.death?.outcome {
    case .signaled(let signal, _) where core.killReason == nil: members["signal"] = .string(SignalNames.name(signal))
    case .exited(let code): members["exitStatus"] = JSONValue(code)
    default: break
    }
    let lines = core.stderrTail.lines.suffix(ExitDiagnosis.tailLimit).map(EngineDeath.line)
    if !lines.isEmpty { members["stderr"] = JSONValue(Array(lines)) }
    let frames = core.wire.frames.map { $0.json(end: core.endedAt) }
    if !frames.isEmpty { members["wire"] = .array(frames) }
    evidence = .object(members)
  }

  private static func line(_ text: String) -> String {
    let clean = HostLog.neutralise(text)
    guard clean.utf8.count > stderrBytes else { return clean }
    return String(decoding: clean.utf8.prefix(stderrBytes), as: UTF8.self) + " … [cut: \(clean.utf8.count) bytes]"
  }
}

extension EngineProcess {
  /// How the process came to be of no more use; nil while it is.
  package var death: EngineDeath? { core.withLock { EngineDeath($0) } }
}
