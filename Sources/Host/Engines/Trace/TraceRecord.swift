import PluginProtocol

/// One line of a trace. Docs/Tracing.md is the format's description.
package struct TraceRecord: Sendable, Equatable {
  package enum Direction: String, Sendable {
    case toEngine
    case fromEngine
    case stderr
    case process
  }

  /// Microseconds since the trace began.
  package var microseconds: Int64
  package var direction: Direction
  /// The message, where the line was one.
  package var frame: JSONValue?
  /// What was no message: noise, a line of stderr, a sentence on the process.
  package var text: String?
  /// In a word, what happened to the process.
  package var event: String?
  /// Bytes of the line as it was.
  package var bytes: Int?
  /// Something was shortened.
  package var isCut = false
  /// Records that are missing right before this one.
  package var dropped = 0

  /// Bytes that are kept of a line that is no message.
  static let noiseBytes = 4096

  package init(_ record: WireRecorder.Record, redaction: TraceRedaction) {
    microseconds = record.at.inMicroseconds
    dropped = record.dropped
    switch record.event {
    case .toEngine(let line):
      direction = .toEngine
      take(line, redaction)
    case .fromEngine(let line):
      direction = .fromEngine
      take(line, redaction)
    case .overlong(let length, let prefix):
      direction = .fromEngine
      text = HostLog.neutralise(WireRedaction.redact(prefix))
      bytes = length
      isCut = true
    case .stderr(let line):
      direction = .stderr
      text = HostLog.neutralise(line)
    case .process(let event, let text):
      direction = .process
      self.event = event
      self.text = text
    }
  }

  private mutating func take(_ line: [UInt8], _ redaction: TraceRedaction) {
    bytes = line.count
    // As the host reads it: what is no message there is none here.
    if let value = try? JSONValue(parsing: line), value.object != nil {
      let (redacted, isCut) = redaction.apply(value)
      frame = redacted
      self.isCut = isCut
    } else {
      text = HostLog.neutralise(WireRedaction.redact(Array(line.prefix(TraceRecord.noiseBytes))))
      isCut = line.count > TraceRecord.noiseBytes
    }
  }

  /// The record as it stands in a trace.
  package var json: JSONValue {
    .compact([
      "at": .double(Double(microseconds) / 1000), "direction": .string(direction.rawValue), "frame": frame ?? .null,
      "text": JSONValue(text), "event": JSONValue(event), "bytes": JSONValue(bytes),
      "cut": isCut ? .bool(true) : .null, "dropped": dropped > 0 ? JSONValue(dropped) : .null,
    ])
  }

  /// Reads a line of a trace; nil for the head.
  package init?(_ json: JSONValue) throws(FieldError) {
    let fields = try FieldReader(json, path: "record")
    guard let text = try fields.string("direction") else { return nil }
    guard let direction = Direction(rawValue: text) else { return nil }
    self.direction = direction
    microseconds = Int64((try fields.double("at") ?? 0) * 1000)
    frame = try fields.object("frame")
    self.text = try fields.string("text")
    event = try fields.string("event")
    bytes = try fields.int("bytes")
    isCut = try fields.bool("cut") ?? false
    dropped = try fields.int("dropped") ?? 0
  }
}

extension Duration {
  /// Whole microseconds.
  var inMicroseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}
