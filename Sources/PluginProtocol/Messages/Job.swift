/// Params of `job/run`.
public struct JobRunParameters: Equatable, Sendable {
  /// Never used twice for different jobs.
  public var jobID: String
  /// 1 for the first try.
  public var attempt: Int
  public var kind: String
  public var model: ModelReference?
  /// The parameters of the work, by kind. Not sent when there is a `taskFile`.
  public var task: JSONValue
  /// Name of the file in the work directory that holds the task; nil when it is here.
  public var taskFile: String?
  /// What the host knows of the task's inputs, by the member of the task that names them; in the order of the URLs.
  public var inputs: [String: [JobInput]]
  /// Absolute path of a directory for this attempt's files; empty but for the inputs and the task.
  public var workDirectory: String
  /// Seconds from now until nobody wants the result any more.
  public var deadlineSeconds: Double?
  /// Chunks that may be sent before the first `job/credit`.
  public var credit: Int
  /// W3C trace context, to be passed on.
  public var traceparent: String?

  public init(
    jobID: String, attempt: Int = 1, kind: String, model: ModelReference? = nil, task: JSONValue,
    taskFile: String? = nil, inputs: [String: [JobInput]] = [:], workDirectory: String,
    deadlineSeconds: Double? = nil, credit: Int = defaultChunkCredit, traceparent: String? = nil
  ) {
    self.jobID = jobID
    self.attempt = attempt
    self.kind = kind
    self.model = model
    self.task = task
    self.taskFile = taskFile
    self.inputs = inputs
    self.workDirectory = workDirectory
    self.deadlineSeconds = deadlineSeconds
    self.credit = credit
    self.traceparent = traceparent
  }

  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json)
    jobID = try fields.requiredString("jobId")
    attempt = try fields.int("attempt") ?? 1
    kind = try fields.requiredString("kind")
    if let nested = try fields.nested("model") { model = try ModelReference(nested) }
    task = try fields.object("task") ?? [:]
    taskFile = try fields.string("taskFile")
    inputs = try JobInput.all(try fields.nested("inputs"))
    workDirectory = try fields.requiredString("workDirectory")
    deadlineSeconds = try fields.double("deadlineSeconds")
    credit = try fields.int("credit") ?? defaultChunkCredit
    traceparent = try fields.nested("trace")?.string("traceparent")
  }

  /// The params as they stand on the wire.
  public var json: JSONValue {
    .compact([
      "jobId": .string(jobID), "attempt": JSONValue(attempt), "kind": .string(kind), "model": model?.json ?? .null,
      "task": taskFile == nil ? task : .null, "taskFile": JSONValue(taskFile), "inputs": JobInput.json(inputs),
      "workDirectory": .string(workDirectory), "deadlineSeconds": JSONValue(deadlineSeconds),
      "credit": JSONValue(credit), "trace": traceparent.map { ["traceparent": .string($0)] } ?? .null,
    ])
  }
}

/// Result of `job/run`: the job's only terminal message when it went well.
public struct JobRunResult: Equatable, Sendable {
  /// What the job produced, by kind. Not sent when there is an `outputFile`.
  public var output: JSONValue
  /// The file of the work directory that holds the output; nil when it is here.
  public var outputFile: OutputFile?
  /// Files in the work directory that belong to the result.
  public var artifacts: [ArtifactDeclaration]
  /// Counts for accounting: tokens, seconds, steps.
  public var usage: JSONValue?

  public init(
    output: JSONValue = [:], outputFile: OutputFile? = nil, artifacts: [ArtifactDeclaration] = [],
    usage: JSONValue? = nil
  ) {
    self.output = output
    self.outputFile = outputFile
    self.artifacts = artifacts
    self.usage = usage
  }

  /// Reads the result; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json, path: "result")
    output = try fields.object("output") ?? [:]
    if let file = try fields.nested("outputFile") { outputFile = try OutputFile(file) }
    artifacts = []
    for artifact in try fields.list("artifacts") { artifacts.append(try ArtifactDeclaration(artifact)) }
    usage = try fields.object("usage")
  }

  /// The result as it stands on the wire.
  public var json: JSONValue {
    .compact([
      "output": outputFile == nil ? output : .null, "outputFile": outputFile?.json ?? .null,
      "artifacts": .array(artifacts.map(\.json)), "usage": usage ?? .null,
    ])
  }
}

/// A file that an engine says it has made.
public struct ArtifactDeclaration: Equatable, Sendable {
  /// One plain path component in the work directory.
  public var name: String
  /// Media type.
  public var contentType: String
  /// Exact size.
  public var bytes: UInt64
  /// Lower-case hex, when the engine has computed it.
  public var sha256: String?

  public init(name: String, contentType: String, bytes: UInt64, sha256: String? = nil) {
    self.name = name
    self.contentType = contentType
    self.bytes = bytes
    self.sha256 = sha256
  }

  init(_ fields: FieldReader) throws(FieldError) {
    name = try fields.requiredString("name")
    contentType = try fields.string("contentType") ?? "application/octet-stream"
    guard let size = try fields.count("bytes") else {
      throw FieldError(path: "\(fields.path).bytes", expected: "a whole number, 0 or more", found: .null)
    }
    bytes = size
    sha256 = try fields.string("sha256")
  }

  /// The declaration as it stands on the wire.
  public var json: JSONValue {
    .compact([
      "name": .string(name), "contentType": .string(contentType), "bytes": JSONValue(bytes),
      "sha256": JSONValue(sha256),
    ])
  }
}

/// Params of `job/progress`.
public struct JobProgress: Equatable, Sendable {
  public var jobID: String
  /// 0 to 1.
  public var fraction: Double?
  public var step: Int?
  public var steps: Int?
  /// A word for what is going on: `prompt`, `sampling`, `decode`.
  public var stage: String?
  public var message: String?
  public var etaSeconds: Double?

  public init(
    jobID: String, fraction: Double? = nil, step: Int? = nil, steps: Int? = nil, stage: String? = nil,
    message: String? = nil, etaSeconds: Double? = nil
  ) {
    self.jobID = jobID
    self.fraction = fraction
    self.step = step
    self.steps = steps
    self.stage = stage
    self.message = message
    self.etaSeconds = etaSeconds
  }

  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json)
    jobID = try fields.requiredString("jobId")
    fraction = try fields.double("fraction")
    step = try fields.int("step")
    steps = try fields.int("steps")
    stage = try fields.string("stage")
    message = try fields.string("message")
    etaSeconds = try fields.double("etaSeconds")
  }

  /// The params as they stand on the wire.
  public var json: JSONValue {
    .compact([
      "jobId": .string(jobID), "fraction": JSONValue(fraction), "step": JSONValue(step), "steps": JSONValue(steps),
      "stage": JSONValue(stage), "message": JSONValue(message), "etaSeconds": JSONValue(etaSeconds),
    ])
  }
}

/// Params of `job/chunk`: a piece of the result, sent as soon as it is there.
public struct JobChunk: Equatable, Sendable {
  public var jobID: String
  /// 1 for an attempt's first chunk, then without gaps.
  public var seq: Int
  public var text: String?
  public var data: JSONValue?

  public init(jobID: String, seq: Int, text: String? = nil, data: JSONValue? = nil) {
    self.jobID = jobID
    self.seq = seq
    self.text = text
    self.data = data
  }

  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json)
    jobID = try fields.requiredString("jobId")
    seq = try fields.requiredInt("seq")
    text = try fields.string("text")
    data = fields.value["data"]
  }

  /// The params as they stand on the wire.
  public var json: JSONValue {
    .compact([
      "jobId": .string(jobID), "seq": JSONValue(seq), "text": JSONValue(text), "data": data ?? .null,
    ])
  }
}

/// Params of `job/cancel`.
public struct JobCancelParameters: Equatable, Sendable {
  public var jobID: String

  public init(jobID: String) { self.jobID = jobID }
  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) { jobID = try FieldReader(json).requiredString("jobId") }
  /// The params as they stand on the wire.
  public var json: JSONValue { ["jobId": .string(jobID)] }
}

/// Params of `job/credit`: the engine may send chunks up to this `seq`.
public struct JobCreditParameters: Equatable, Sendable {
  public var jobID: String
  public var through: Int

  public init(jobID: String, through: Int) {
    self.jobID = jobID
    self.through = through
  }
  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json)
    jobID = try fields.requiredString("jobId")
    through = try fields.requiredInt("through")
  }
  /// The params as they stand on the wire.
  public var json: JSONValue { ["jobId": .string(jobID), "through": JSONValue(through)] }
}
