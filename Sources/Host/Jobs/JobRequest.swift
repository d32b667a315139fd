import Crypto
import PluginProtocol

/// What is asked for when a job is submitted.
package struct JobRequest: Sendable, Equatable {
  package var kind: JobKind
  /// nil: whatever serves the kind; resolved by the scheduler, not here.
  package var model: String?
  /// The parameters; must be a JSON object.
  package var task: JSONValue
  /// What stands for the task when two requests with one key are compared; nil: the task itself.
  package var identity: JSONValue?
  /// -100…100, higher first.
  package var priority: Int
  /// Seconds from now until the job is pointless; nil for none.
  package var deadlineSeconds: Double?
  /// Two submits of one coordinator with one key are one job, for as long as that job is kept.
  package var idempotencyKey: String?
  package var labels: [String: String]
  /// Where the job comes from and where its result goes.
  package var coordinator: String
  /// The job's name at its coordinator.
  package var remoteID: String?

  package init(
    kind: JobKind, model: String? = nil, task: JSONValue = .object([:]), priority: Int = 0,
    deadlineSeconds: Double? = nil, idempotencyKey: String? = nil, labels: [String: String] = [:],
    coordinator: String = "local", remoteID: String? = nil
  ) {
    self.kind = kind
    self.model = model
    self.task = task
    self.priority = priority
    self.deadlineSeconds = deadlineSeconds
    self.idempotencyKey = idempotencyKey
    self.labels = labels
    self.coordinator = coordinator
    self.remoteID = remoteID
  }
}

/// A request that has been checked and turned into what the database stores.
struct CheckedRequest: Sendable {
  let request: JobRequest
  let task: String
  let labels: String?
  /// Only for a request with an idempotency key: the SHA-256 of everything that makes two requests the same one.
  let hash: String?

  init(_ request: JobRequest, maxTaskBytes: Int) throws(JobStoreError) {
    guard case .object = request.task else {
      throw .invalidRequest(field: "task", reason: "must be an object, not \(request.task.typeName)")
    }
    guard (-100...100).contains(request.priority) else {
      throw .invalidRequest(field: "priority", reason: "must be from -100 to 100, not \(request.priority)")
    }
    if let seconds = request.deadlineSeconds, !(seconds > 0 && seconds <= Self.maxDeadlineSeconds) {
      throw .invalidRequest(field: "deadlineSeconds", reason: "must be above 0 and at most one year, not \(seconds)")
    }
    try Self.check(request.model, field: "model", limit: 512)
    try Self.check(request.idempotencyKey, field: "idempotencyKey", limit: 255)
    try Self.check(request.coordinator, field: "coordinator", limit: 64)
    try Self.check(request.remoteID, field: "remoteID", limit: 512)
    guard request.labels.count <= 64 else {
      throw .invalidRequest(field: "labels", reason: "has \(request.labels.count) members; 64 are allowed")
    }
    for (key, value) in request.labels {
      try Self.check(key, field: "labels", limit: 128)
      guard value.utf8.count <= 1024, !value.utf8.contains(0) else {
        throw .invalidRequest(field: "labels", reason: "member \"\(key)\" is longer than 1024 bytes or has a NUL")
      }
    }
    let task = request.task.text
    guard task.utf8.count <= maxTaskBytes else {
      throw .tooLarge(what: "the task", bytes: task.utf8.count, limit: maxTaskBytes)
    }
    self.request = request
    self.task = task
    let labelsValue = JSONValue.object(request.labels.mapValues(JSONValue.string))
    labels = request.labels.isEmpty ? nil : labelsValue.text
    hash = request.idempotencyKey.map { _ in
      let identity = JSONValue.compact([
        "kind": .string(request.kind.rawValue), "model": JSONValue(request.model),
        "task": request.identity ?? request.task,
        "priority": .int(Int64(request.priority)), "deadlineSeconds": JSONValue(request.deadlineSeconds),
        "labels": labelsValue,
      ])
      return SHA256.hash(data: identity.bytes).hexText
    }
  }

  /// One year: longer is surely a mistake in the unit.
  private static let maxDeadlineSeconds = 366.0 * 86_400

  private static func check(_ text: String?, field: String, limit: Int) throws(JobStoreError) {
    guard let text else { return }
    guard !text.isEmpty, text.utf8.count <= limit else {
      throw .invalidRequest(field: field, reason: "must have 1 to \(limit) bytes, not \(text.utf8.count)")
    }
    guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
      throw .invalidRequest(field: field, reason: "must not contain control characters")
    }
  }
}

extension Sequence where Element == UInt8 {
  /// Lower-case hexadecimal.
  var hexText: String {
    let digits = Array("0123456789abcdef".utf8)
    var out: [UInt8] = []
    for byte in self {
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }
}
