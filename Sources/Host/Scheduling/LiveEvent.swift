import PluginProtocol

/// Something that happens to a running job, for those who watch it.
package enum LiveEvent: Sendable, Equatable {
  case running(attempt: Int)
  case loading(model: String, fraction: Double?)
  case progress(JobProgress)
  case chunk(JobChunk)
  /// The attempt was lost: chunks begin anew.
  case restart(attempt: Int)
  /// Chunks before this one are not kept any more.
  case gap
  case finished(JobState)
}

extension JobChunk {
  /// About the bytes that it takes in memory.
  var weight: Int { 64 + (text?.utf8.count ?? 0) + (data?.weight ?? 0) }
}

extension JSONValue {
  fileprivate var weight: Int {
    switch self {
    case .string(let text): 32 + text.utf8.count
    case .array(let elements): elements.reduce(32) { $0 + $1.weight }
    case .object(let members): members.reduce(64) { $0 + 32 + $1.key.utf8.count + $1.value.weight }
    default: 32
    }
  }
}
