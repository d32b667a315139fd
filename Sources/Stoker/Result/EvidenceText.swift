import PluginProtocol

/// What is left of engine processes that died, for people.
enum EvidenceText {
  /// Lines for one process or several; nil when it is evidence of another kind.
  static func lines(_ evidence: JSONValue) -> [String]? {
    if let stories = evidence.array {
      let parts = stories.map { story -> [String]? in
        guard let message = story["message"]?.string, let own = story["evidence"].flatMap(process) else { return nil }
        return [message] + own.map { "  " + $0 }
      }
      guard !parts.isEmpty, parts.allSatisfy({ $0 != nil }) else { return nil }
      return parts.flatMap { $0 ?? [] }
    }
    return process(evidence)
  }

  /// One process: how it ended, its last lines of stderr, the last frames on its pipes.
  private static func process(_ evidence: JSONValue) -> [String]? {
    guard
      evidence["stderr"]?.array != nil || evidence["wire"]?.array != nil || evidence["signal"] != nil
        || evidence["exitStatus"] != nil || evidence["killedFor"] != nil
    else { return nil }
    var facts: [String] = []
    if let pid = evidence["pid"]?.int { facts.append("pid \(pid)") }
    if let signal = evidence["signal"]?.string { facts.append("signal \(signal)") }
    if let status = evidence["exitStatus"]?.int { facts.append("exit status \(status)") }
    if let reason = evidence["killedFor"]?.string { facts.append("killed by the host: \(reason)") }
    switch evidence["blame"]?.string {
    case "alone"?: facts.append("it had nothing else in hand")
    case "shared"?: facts.append("it had other jobs in hand")
    case "memory"?: facts.append("memory ran out")
    default: break
    }
    var lines = [facts.joined(separator: " · ")]
    for line in evidence["stderr"]?.array?.compactMap(\.string) ?? [] { lines.append("stderr  \(line)") }
    for frame in evidence["wire"]?.array ?? [] {
      let arrow = frame["direction"]?.string == "fromEngine" ? "<-" : "->"
      let time = frame["msBeforeEnd"]?.int.map { " \($0) ms before" } ?? ""
      lines.append("wire \(arrow)\(time)  \(frame["frame"]?.string ?? "")")
    }
    return lines
  }
}
