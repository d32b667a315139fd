import PluginProtocol

/// A quarantine as `plugins quarantine` shows it.
package struct QuarantineView: Sendable {
  package var hash: String
  package var name: String
  package var reason: String
  package var at: Int64
  package var evidence: JSONValue?

  package init(_ hash: String, _ mark: PluginMarks.Quarantine) {
    self.hash = hash
    name = mark.name
    reason = mark.reason
    at = mark.at
    evidence = mark.evidence
  }

  package var json: JSONValue {
    .compact([
      "name": .string(name), "contentHash": .string(hash), "reason": .string(reason),
      "since": .string(Timestamp.text(milliseconds: at)), "evidence": evidence ?? .null,
    ])
  }

  /// Nothing is quarantined under that name or hash.
  package static func unknown(
    _ target: String, among marks: [(hash: String, mark: PluginMarks.Quarantine)]
  ) -> RPCError {
    let hint =
      NearestName.find(target, among: marks.map(\.mark.name)).map { "; did you mean \($0)?" }
      ?? "; see `stoker plugins quarantine list`"
    return RPCError(control: .notFound, "no quarantine is on \(HostLog.neutralise(String(target.prefix(80))))\(hint)")
  }
}
