/// Params of `initialize`, the first message of a conversation.
public struct InitializeParameters: Equatable, Sendable {
  public var protocolVersions: [Int]
  public var host: PeerVersion
  /// Features that the host understands.
  public var features: [String]
  /// The plugin's configuration, checked against its manifest.
  public var config: JSONValue
  public var directories: EngineDirectories
  public var resources: EngineResources
  /// The host's line cap in bytes; an engine may raise its own to this.
  public var lineBytes: Int

  public init(
    protocolVersions: [Int] = Method.protocolVersions, host: PeerVersion, features: [String], config: JSONValue = [:],
    directories: EngineDirectories, resources: EngineResources, lineBytes: Int = LineFramer.maximumLineBytes
  ) {
    self.protocolVersions = protocolVersions
    self.host = host
    self.features = features
    self.config = config
    self.directories = directories
    self.resources = resources
    self.lineBytes = lineBytes
  }

  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json)
    protocolVersions = try fields.ints("protocolVersions") ?? []
    host = try PeerVersion(try fields.requiredNested("host"))
    features = try fields.strings("features") ?? []
    config = try fields.object("config") ?? [:]
    directories = try EngineDirectories(try fields.requiredNested("directories"))
    resources = try EngineResources(try fields.nested("resources"))
    lineBytes = try fields.nested("limits")?.int("lineBytes") ?? LineFramer.defaultLineBytes
  }

  /// The params as they stand on the wire.
  public var json: JSONValue {
    [
      "protocolVersions": .array(protocolVersions.map { JSONValue($0) }), "host": host.json,
      "features": JSONValue(features), "config": config, "directories": directories.json, "resources": resources.json,
      "limits": ["lineBytes": JSONValue(lineBytes)],
    ]
  }
}

/// Name and version of a host or an engine.
public struct PeerVersion: Equatable, Sendable {
  public var name: String
  public var version: String

  public init(name: String, version: String) {
    self.name = name
    self.version = version
  }

  init(_ fields: FieldReader) throws(FieldError) {
    name = try fields.requiredString("name")
    version = try fields.string("version") ?? ""
  }

  var json: JSONValue { ["name": .string(name), "version": .string(version)] }
}

/// Absolute paths of the directories an engine may use.
public struct EngineDirectories: Equatable, Sendable {
  /// Models, read only.
  public var models: String
  /// Kept between lives of the engine; may be deleted at any time when it does not run.
  public var cache: String
  /// Parent of the jobs' work directories.
  public var work: String

  public init(models: String, cache: String, work: String) {
    self.models = models
    self.cache = cache
    self.work = work
  }

  init(_ fields: FieldReader) throws(FieldError) {
    models = try fields.requiredString("models")
    cache = try fields.requiredString("cache")
    work = try fields.requiredString("work")
  }

  var json: JSONValue { ["models": .string(models), "cache": .string(cache), "work": .string(work)] }
}

/// What of the machine an engine may use.
public struct EngineResources: Equatable, Sendable {
  /// Threads for computing, 1 or more.
  public var cpuThreads: Int
  public var devices: [EngineDevice]
  /// Memory the engine should stay under, in bytes; nil when nobody has set a bound.
  public var memoryBytes: UInt64?

  public init(cpuThreads: Int = 1, devices: [EngineDevice] = [], memoryBytes: UInt64? = nil) {
    self.cpuThreads = cpuThreads
    self.devices = devices
    self.memoryBytes = memoryBytes
  }

  init(_ fields: FieldReader?) throws(FieldError) {
    self.init()
    guard let fields else { return }
    cpuThreads = max(1, try fields.int("cpuThreads") ?? 1)
    for device in try fields.list("devices") { devices.append(try EngineDevice(device)) }
    memoryBytes = try fields.count("memoryBytes")
  }

  var json: JSONValue {
    .compact([
      "cpuThreads": JSONValue(cpuThreads), "devices": .array(devices.map(\.json)),
      "memoryBytes": JSONValue(memoryBytes),
    ])
  }
}

/// An accelerator that an engine may use.
public struct EngineDevice: Equatable, Sendable {
  /// `cuda`, `rocm`, `vulkan` …
  public var kind: String
  /// Index among the devices of that kind on this machine.
  public var index: Int
  public var uuid: String?
  /// Its memory in bytes.
  public var memoryBytes: UInt64

  public init(kind: String, index: Int, uuid: String? = nil, memoryBytes: UInt64) {
    self.kind = kind
    self.index = index
    self.uuid = uuid
    self.memoryBytes = memoryBytes
  }

  init(_ fields: FieldReader) throws(FieldError) {
    kind = try fields.requiredString("kind")
    index = try fields.requiredInt("index")
    uuid = try fields.string("uuid")
    memoryBytes = try fields.count("memoryBytes") ?? 0
  }

  var json: JSONValue {
    .compact([
      "kind": .string(kind), "index": JSONValue(index), "uuid": JSONValue(uuid), "memoryBytes": JSONValue(memoryBytes),
    ])
  }
}

/// Result of `initialize`.
public struct InitializeResult: Equatable, Sendable {
  public var protocolVersion: Int
  public var engine: PeerVersion
  public var features: [String]
  /// Jobs at a time that this process takes, 1 or more; the manifest's value bounds it.
  public var concurrency: Int
  /// Ids or globs that narrow the manifest's models; nil leaves them as they are.
  public var models: [String]?
  /// The line cap that the engine wishes for both directions, in bytes; nil leaves the default.
  public var lineBytes: Int?

  public init(
    protocolVersion: Int, engine: PeerVersion, features: [String], concurrency: Int = 1, models: [String]? = nil,
    lineBytes: Int? = nil
  ) {
    self.protocolVersion = protocolVersion
    self.engine = engine
    self.features = features
    self.concurrency = concurrency
    self.models = models
    self.lineBytes = lineBytes
  }

  /// Reads the result; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json, path: "result")
    protocolVersion = try fields.requiredInt("protocolVersion")
    engine = try PeerVersion(try fields.requiredNested("engine"))
    features = try fields.strings("features") ?? []
    concurrency = max(1, try fields.int("concurrency") ?? 1)
    models = try fields.strings("models")
    lineBytes = try fields.nested("limits")?.int("lineBytes")
  }

  /// The result as it stands on the wire.
  public var json: JSONValue {
    .compact([
      "protocolVersion": JSONValue(protocolVersion), "engine": engine.json, "features": JSONValue(features),
      "concurrency": JSONValue(concurrency), "models": models.map { JSONValue($0) } ?? .null,
      "limits": lineBytes.map { ["lineBytes": JSONValue($0)] } ?? .null,
    ])
  }
}
