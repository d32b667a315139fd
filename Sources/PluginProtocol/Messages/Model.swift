/// A model, as `model/load` and `job/run` name it.
public struct ModelReference: Equatable, Sendable {
  public var id: String
  /// Its files; empty for models that live in the engine itself.
  public var files: [ModelFile]
  /// Options of the catalogue entry, for the engine.
  public var options: JSONValue

  public init(id: String, files: [ModelFile] = [], options: JSONValue = [:]) {
    self.id = id
    self.files = files
    self.options = options
  }

  init(_ fields: FieldReader) throws(FieldError) {
    id = try fields.requiredString("id")
    files = []
    for file in try fields.list("files") { files.append(try ModelFile(file)) }
    options = try fields.object("options") ?? [:]
  }

  /// The reference as it stands on the wire.
  public var json: JSONValue {
    var members: [String: JSONValue] = ["id": .string(id)]
    if !files.isEmpty { members["files"] = .array(files.map(\.json)) }
    if let object = options.object, !object.isEmpty { members["options"] = options }
    return .object(members)
  }
}

/// One file of a model.
public struct ModelFile: Equatable, Sendable {
  /// What the file is to the model: `model`, `vae`, `text-encoder` …
  public var role: String
  /// Absolute path.
  public var path: String
  /// Lower-case hex, when known.
  public var sha256: String?

  public init(role: String, path: String, sha256: String? = nil) {
    self.role = role
    self.path = path
    self.sha256 = sha256
  }

  init(_ fields: FieldReader) throws(FieldError) {
    role = try fields.requiredString("role")
    path = try fields.requiredString("path")
    sha256 = try fields.string("sha256")
  }

  var json: JSONValue {
    .compact(["role": .string(role), "path": .string(path), "sha256": JSONValue(sha256)])
  }
}

/// Params of `model/load`.
public struct ModelLoadParameters: Equatable, Sendable {
  public var model: ModelReference

  public init(model: ModelReference) { self.model = model }
  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    model = try ModelReference(try FieldReader(json).requiredNested("model"))
  }
  /// The params as they stand on the wire.
  public var json: JSONValue { ["model": model.json] }
}

/// Result of `model/load`: what the model holds now.
public struct ModelLoadResult: Equatable, Sendable {
  /// Memory of the machine, in bytes.
  public var memoryBytes: UInt64?
  /// Memory of the devices, in bytes.
  public var deviceBytes: UInt64?
  /// Tokens of context that a job may use.
  public var contextLength: Int?

  public init(memoryBytes: UInt64? = nil, deviceBytes: UInt64? = nil, contextLength: Int? = nil) {
    self.memoryBytes = memoryBytes
    self.deviceBytes = deviceBytes
    self.contextLength = contextLength
  }

  /// Reads the result; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json, path: "result")
    memoryBytes = try fields.count("memoryBytes")
    deviceBytes = try fields.count("deviceBytes")
    contextLength = try fields.int("contextLength")
  }

  /// The result as it stands on the wire.
  public var json: JSONValue {
    .compact([
      "memoryBytes": JSONValue(memoryBytes), "deviceBytes": JSONValue(deviceBytes),
      "contextLength": JSONValue(contextLength),
    ])
  }
}

/// Params of `model/unload`.
public struct ModelUnloadParameters: Equatable, Sendable {
  public var id: String

  public init(id: String) { self.id = id }
  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    id = try FieldReader(json).requiredNested("model").requiredString("id")
  }
  /// The params as they stand on the wire.
  public var json: JSONValue { ["model": ["id": .string(id)]] }
}

/// Params of `model/progress`, sent while a model is being loaded.
public struct ModelProgress: Equatable, Sendable {
  public var model: String
  /// 0 to 1.
  public var fraction: Double?
  public var message: String?

  public init(model: String, fraction: Double? = nil, message: String? = nil) {
    self.model = model
    self.fraction = fraction
    self.message = message
  }

  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json)
    model = try fields.requiredString("model")
    fraction = try fields.double("fraction")
    message = try fields.string("message")
  }

  /// The params as they stand on the wire.
  public var json: JSONValue {
    .compact(["model": .string(model), "fraction": JSONValue(fraction), "message": JSONValue(message)])
  }
}
