import PluginProtocol

/// A job as it stands at one moment: a value, not a handle.
package struct Job: Sendable, Equatable {
  package var id: JobID
  package var kind: JobKind
  package var model: String?
  package var state: JobState
  /// In order; the last one is the current or deciding one. Empty before the first claim.
  package var attempts: [JobAttempt]
  /// The last progress noted of the running attempt.
  package var progress: JSONValue?
  /// Only of a job that succeeded.
  package var result: JSONValue?
  package var artifacts: [JobArtifact]
  /// Only of a job that failed.
  package var error: JobFailure?
  package var timing: JobTiming
  package var priority: Int
  package var labels: [String: String]
  package var coordinator: String
  package var remoteID: String?
  package var cancelRequested: Bool
  /// Wall time, in milliseconds since 1970, as are the other times.
  package var createdAt: Int64
  package var deadlineAt: Int64?
  package var finishedAt: Int64?
  package var lease: JobLease?

  /// The job as the command line and the API show it. Fields that have no value are left out.
  package var json: JSONValue {
    .compact([
      "id": .string(id.description),
      "kind": .string(kind.rawValue),
      "model": JSONValue(model),
      "state": .string(state.rawValue),
      "attempts": .array(attempts.map(\.json)),
      "progress": progress ?? .null,
      "result": result ?? .null,
      "artifacts": .array(artifacts.map(\.json)),
      "error": error?.json ?? .null,
      "timing": timing.json,
      "priority": .int(Int64(priority)),
      "labels": .object(labels.mapValues(JSONValue.string)),
      "coordinator": .string(coordinator),
      "remoteId": JSONValue(remoteID),
      "cancelRequested": .bool(cancelRequested),
      "createdAt": .string(Timestamp.text(milliseconds: createdAt)),
      "deadlineAt": JSONValue(deadlineAt.map(Timestamp.text(milliseconds:))),
      "finishedAt": JSONValue(finishedAt.map(Timestamp.text(milliseconds:))),
    ])
  }
}

/// One try at a job by one engine process.
package struct JobAttempt: Sendable, Equatable {
  /// From 1, never used twice for one job. It fences results: only the current attempt's can be recorded.
  package var number: Int
  /// The plugin's name.
  package var engine: String
  /// The engine's process, where there was one.
  package var pid: Int32?
  package var startedAt: Int64
  package var endedAt: Int64?
  /// nil while the attempt runs.
  package var outcome: AttemptOutcome?
  /// Why it ended without success.
  package var error: JobFailure?

  package var json: JSONValue {
    .compact([
      "number": .int(Int64(number)), "engine": .string(engine), "pid": JSONValue(pid),
      "startedAt": .string(Timestamp.text(milliseconds: startedAt)),
      "endedAt": JSONValue(endedAt.map(Timestamp.text(milliseconds:))),
      "outcome": JSONValue(outcome?.rawValue), "error": error?.json ?? .null,
    ])
  }
}

/// A result file in the job's directory.
package struct JobArtifact: Sendable, Equatable {
  package var name: String
  package var contentType: String
  package var bytes: Int64
  /// Lower-case hexadecimal, of the file's bytes as they were taken.
  package var sha256: String
  /// Absolute.
  package var path: String

  package init(name: String, contentType: String, bytes: Int64, sha256: String, path: String) {
    self.name = name
    self.contentType = contentType
    self.bytes = bytes
    self.sha256 = sha256
    self.path = path
  }

  package var json: JSONValue {
    [
      "name": .string(name), "contentType": .string(contentType), "bytes": .int(bytes), "sha256": .string(sha256),
      "path": .string(path),
    ]
  }

  init?(json: JSONValue) {
    guard let name = json["name"]?.string, let contentType = json["contentType"]?.string,
      let bytes = json["bytes"]?.int, let sha256 = json["sha256"]?.string, let path = json["path"]?.string
    else { return nil }
    self.init(name: name, contentType: contentType, bytes: bytes, sha256: sha256, path: path)
  }
}

/// Why a job, or an attempt, failed.
package struct JobFailure: Sendable, Equatable, Error {
  /// An error class of the engine protocol (`bad_input`, `engine_fault`, `resource`, …) or one of the host's own:
  /// `deadline`, `bad_artifact`, `lost`.
  package var errorClass: String
  /// One sentence a user can act on.
  package var message: String
  /// What the judgement rests on: an exit status, the last lines of stderr.
  package var evidence: JSONValue?

  package init(errorClass: String, message: String, evidence: JSONValue? = nil) {
    self.errorClass = errorClass
    self.message = message
    self.evidence = evidence
  }

  package init(_ failureClass: FailureClass, _ message: String, evidence: JSONValue? = nil) {
    self.init(errorClass: failureClass.rawValue, message: message, evidence: evidence)
  }

  package var json: JSONValue {
    .compact(["class": .string(errorClass), "message": .string(message), "evidence": evidence ?? .null])
  }

  init?(json: JSONValue) {
    guard let errorClass = json["class"]?.string, let message = json["message"]?.string else { return nil }
    self.init(errorClass: errorClass, message: message, evidence: json["evidence"])
  }
}

/// Where a job's time went, in milliseconds; nil where it is not known.
package struct JobTiming: Sendable, Equatable {
  /// From submission to the start of the deciding attempt. The store fills it in when the caller leaves it out.
  package var queuedMs: Int64?
  /// Waiting for the model to load.
  package var loadMs: Int64?
  /// From the order to run until the engine's answer.
  package var runMs: Int64?

  package init(queuedMs: Int64? = nil, loadMs: Int64? = nil, runMs: Int64? = nil) {
    self.queuedMs = queuedMs
    self.loadMs = loadMs
    self.runMs = runMs
  }

  package var json: JSONValue {
    .compact(["queuedMs": JSONValue(queuedMs), "loadMs": JSONValue(loadMs), "runMs": JSONValue(runMs)])
  }

  init(json: JSONValue) {
    self.init(queuedMs: json["queuedMs"]?.int, loadMs: json["loadMs"]?.int, runMs: json["runMs"]?.int)
  }
}

/// The time-limited right to work on a job that a remote coordinator gave.
package struct JobLease: Sendable, Equatable {
  package var owner: String
  /// In milliseconds since 1970 on the timeline of the life that wrote it.
  package var until: Int64
}
