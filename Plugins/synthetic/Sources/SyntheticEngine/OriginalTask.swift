import PluginProtocol

/// A job's task as it was sent, as far as results follow from it.
enum OriginalTask {
  /// The task with each input's URL replaced by its hash at submission: where the host has put its copy is different in every
  /// attempt, and must not show.
  static func of(_ job: EngineJob) -> JSONValue {
    guard case .object(var members) = job.task else { return job.task }
    for (member, inputs) in job.parameters.inputs where members[member] != nil {
      let hashes = inputs.map { "sha256:\($0.urlSHA256)" }
      members[member] = member.hasSuffix(JobInput.listSuffix) ? JSONValue(hashes) : JSONValue(hashes.first)
    }
    return .object(members)
  }
}
