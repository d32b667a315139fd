/// What the host knows of one input file of a job: an entry of `inputs` in `job/run`.
public struct JobInput: Equatable, Sendable {
  /// The file's name in the work directory.
  public var name: String
  /// Media type, by the file's first bytes: `application/octet-stream` when they say nothing.
  public var contentType: String
  /// Exact size.
  public var bytes: UInt64
  /// SHA-256 of the URL that the task had when it was submitted, in lower-case hex.
  public var urlSHA256: String

  public init(name: String, contentType: String, bytes: UInt64, urlSHA256: String) {
    self.name = name
    self.contentType = contentType
    self.bytes = bytes
    self.urlSHA256 = urlSHA256
  }

  init(_ fields: FieldReader) throws(FieldError) {
    name = try fields.requiredString("name")
    contentType = try fields.string("contentType") ?? "application/octet-stream"
    bytes = try fields.count("bytes") ?? 0
    urlSHA256 = try fields.string("urlSha256") ?? ""
  }

  /// The entry as it stands on the wire.
  public var json: JSONValue {
    [
      "name": .string(name), "contentType": .string(contentType), "bytes": JSONValue(bytes),
      "urlSha256": .string(urlSHA256),
    ]
  }

  /// The suffix of a task's member that names one input by its URL.
  public static let memberSuffix = "Url"
  /// The suffix of a task's member that lists inputs by their URLs.
  public static let listSuffix = "Urls"

  static func all(_ fields: FieldReader?) throws(FieldError) -> [String: [JobInput]] {
    guard let fields else { return [:] }
    var inputs: [String: [JobInput]] = [:]
    for key in (fields.value.object ?? [:]).keys {
      if fields.value[key]?.array != nil {
        inputs[key] = []
        for entry in try fields.list(key) { inputs[key]?.append(try JobInput(entry)) }
      } else if let entry = try fields.nested(key) {
        inputs[key] = [try JobInput(entry)]
      }
    }
    return inputs
  }

  /// One object for a member that names one input, a list of objects for one that lists them.
  static func json(_ inputs: [String: [JobInput]]) -> JSONValue {
    guard !inputs.isEmpty else { return .null }
    var members: [String: JSONValue] = [:]
    for (key, entries) in inputs {
      members[key] = key.hasSuffix(listSuffix) ? .array(entries.map(\.json)) : entries.first?.json
    }
    // A list of none under a member that names one input says nothing.
    return members.isEmpty ? .null : .object(members)
  }
}

/// An output that the engine has put into its work directory: what a result has in place of `output`.
public struct OutputFile: Equatable, Sendable {
  /// One plain path component in the work directory.
  public var name: String
  /// Exact size.
  public var bytes: UInt64

  public init(name: String, bytes: UInt64) {
    self.name = name
    self.bytes = bytes
  }

  init(_ fields: FieldReader) throws(FieldError) {
    name = try fields.requiredString("name")
    guard let size = try fields.count("bytes") else {
      throw FieldError(path: "\(fields.path).bytes", expected: "a whole number, 0 or more", found: .null)
    }
    bytes = size
  }

  var json: JSONValue { ["name": .string(name), "bytes": JSONValue(bytes)] }
}
