import PluginProtocol

/// What is on this machine of one model.
package enum ModelState: Sendable, Equatable {
  /// Nothing.
  case absent
  /// An interrupted download that the next pull may continue. `total` is nil when unknown.
  case partial(bytes: Int64, total: Int64?)
  /// Some process pulls it right now.
  case downloading(bytes: Int64, total: Int64?)
  /// All files are there with the right size, but one was changed or never hashed since; a verification decides.
  case unverified
  /// All files are there and were found right.
  case ready
  /// A file is not what the entry says; the reason is one sentence.
  case damaged(String)

  /// `absent`, `partial`, `downloading`, `unverified`, `ready` or `damaged`.
  package var name: String {
    switch self {
    case .absent: "absent"
    case .partial: "partial"
    case .downloading: "downloading"
    case .unverified: "unverified"
    case .ready: "ready"
    case .damaged: "damaged"
    }
  }
}

/// One line of `stoker models list`.
package struct ModelStatus: Sendable, Equatable {
  package var id: String
  package var kind: JobKind
  package var engine: String
  package var state: ModelState
  /// Bytes of the complete files on this machine; the declared size when there are none; nil when unknown.
  package var bytes: Int64?
  /// Where the first file lies, when it is there.
  package var path: String?
  package var license: String?

  /// `{id, kind, engine, state, bytes?, path?, license?, reason?, progress?: {bytes, total?}}`.
  package var json: JSONValue {
    var progress: JSONValue = .null
    var reason: JSONValue = .null
    switch state {
    case .partial(let bytes, let total), .downloading(let bytes, let total):
      progress = .compact(["bytes": .int(bytes), "total": JSONValue(total)])
    case .damaged(let text): reason = .string(text)
    case .absent, .unverified, .ready: break
    }
    return .compact([
      "id": .string(id), "kind": .string(kind.rawValue), "engine": .string(engine), "state": .string(state.name),
      "bytes": JSONValue(bytes), "path": JSONValue(path), "license": JSONValue(license), "reason": reason,
      "progress": progress,
    ])
  }
}

/// A model whose files are here and right.
package struct ResolvedModel: Sendable, Equatable {
  /// As `model/load` and `job/run` want it; the paths are absolute.
  package var reference: ModelReference
  package var kind: JobKind
  package var engine: String
  /// Sum of the files' sizes.
  package var bytes: Int64
}

/// A claim that keeps a model's files from being removed or replaced, in every process, until it is closed or dropped.
package final class ModelUse: Sendable {
  private let lock: FileLock?

  init(_ lock: FileLock?) { self.lock = lock }

  /// Ends the claim; a second time does nothing.
  package func close() { lock?.release() }
}
