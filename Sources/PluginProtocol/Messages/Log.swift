/// Params of `log`.
public struct LogMessage: Equatable, Sendable {
  /// How loud; names that this version does not know count as `info`.
  public enum Level: String, CaseIterable, Sendable {
    case debug, info, warn, error
  }
  public var level: Level
  public var message: String
  public var jobID: String?
  public var fields: JSONValue

  public init(level: Level, message: String, jobID: String? = nil, fields: JSONValue = .null) {
    self.level = level
    self.message = message
    self.jobID = jobID
    self.fields = fields
  }

  /// Reads the params; unknown members are ignored.
  public init(_ json: JSONValue) throws(FieldError) {
    let reader = try FieldReader(json)
    level = Level(rawValue: try reader.string("level") ?? "info") ?? .info
    message = try reader.requiredString("message")
    jobID = try reader.string("jobId")
    fields = try reader.object("fields") ?? .null
  }

  /// The params as they stand on the wire.
  public var json: JSONValue {
    .compact([
      "level": .string(level.rawValue), "message": .string(message), "jobId": JSONValue(jobID), "fields": fields,
    ])
  }
}
