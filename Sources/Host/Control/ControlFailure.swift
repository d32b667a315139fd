import PluginProtocol

/// Why a worker refuses a control request, by name: `data.class` of the error, and what exit statuses are made of.
package enum ControlFailure: String, CaseIterable, Sendable {
  /// No such kind of job.
  case unknownKind = "unknown_kind"
  /// The kind is known and nothing here can serve it, or not with that model.
  case noEngine = "no_engine"
  /// The request itself is wrong.
  case badInput = "bad_input"
  /// No such job or plugin.
  case notFound = "not_found"
  case queueFull = "queue_full"
  /// It contradicts something that was asked before.
  case conflict
  /// The worker takes no new work.
  case draining
  /// Too many clients, or uploads, at once.
  case busy
  /// The worker's own fault.
  case `internal`
}

extension RPCError {
  /// A refusal of one of the control socket's classes.
  package init(control failure: ControlFailure, _ message: String) {
    let code =
      switch failure {
      case .badInput, .unknownKind: RPCError.invalidParamsCode
      case .internal: RPCError.internalErrorCode
      default: -32000
      }
    self.init(code: code, message: message, data: ["class": .string(failure.rawValue)])
  }

  /// The class by name, or nil when the error names none that is known here.
  package var controlFailure: ControlFailure? { data["class"]?.string.flatMap(ControlFailure.init(rawValue:)) }
}

/// Names and limits of the control socket.
package enum ControlProtocol {
  /// The notification that carries a streaming method's events: `{requestId, event}`.
  package static let eventMethod = "event"
  /// Longest line in either direction, in bytes without the LF.
  package static let maximumLineBytes = LineFramer.maximumLineBytes
  /// Clients at once.
  package static let maximumConnections = 64
  /// Unanswered requests of one connection; the next ones wait unread.
  package static let maximumRequests = 32
  /// Lines that are not requests before a connection is closed.
  package static let maximumGarbage = 16
  /// Bytes waiting for a slow reader beyond which senders wait: one line more may lie above it.
  package static let highWaterBytes = 256 << 10
}
