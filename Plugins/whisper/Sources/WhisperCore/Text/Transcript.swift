public import PluginProtocol

/// A word with its time in the recording, in seconds, and how sure the model is of it, 0...1.
public struct TranscribedWord: Equatable, Sendable {
  public var start: Double
  public var end: Double
  public var text: String
  public var probability: Double

  public init(start: Double, end: Double, text: String, probability: Double) {
    self.start = start
    self.end = end
    self.text = text
    self.probability = probability
  }

  var json: JSONValue {
    [
      "start": Transcript.seconds(start), "end": Transcript.seconds(end), "text": .string(text),
      "probability": .double((probability * 10_000).rounded() / 10_000),
    ]
  }
}

/// A stretch of speech, in seconds of the recording.
public struct TranscribedSegment: Equatable, Sendable {
  public var start: Double
  public var end: Double
  /// As the model wrote it: with the space that parts it from the text before.
  public var text: String
  /// Nil when words were not asked for.
  public var words: [TranscribedWord]?

  public init(start: Double, end: Double, text: String, words: [TranscribedWord]? = nil) {
    self.start = start
    self.end = end
    self.text = text
    self.words = words
  }

  public var isBlank: Bool { Transcript.trimmed(text).isEmpty }

  /// As in the result and in chunks.
  public var json: JSONValue {
    var members: [String: JSONValue] = [
      "start": Transcript.seconds(start), "end": Transcript.seconds(end),
      "text": .string(Transcript.trimmed(text)),
    ]
    if let words { members["words"] = .array(words.map(\.json)) }
    return .object(members)
  }
}

/// The result of one job.
public struct Transcript: Sendable {
  /// The code of the language of the speech; `und` when there was none to tell it by.
  public var language: String
  /// Seconds of the recording.
  public var duration: Double
  public var segments: [TranscribedSegment]

  public init(language: String, duration: Double, segments: [TranscribedSegment]) {
    self.language = language
    self.duration = duration
    self.segments = segments
  }

  public var text: String { Self.trimmed(segments.map(\.text).joined()) }

  public var json: JSONValue {
    [
      "text": .string(text), "language": .string(language), "duration": Self.seconds(duration),
      "segments": .array(segments.map(\.json)),
    ]
  }

  public var usage: JSONValue { ["audioSeconds": Self.seconds(duration)] }

  static func seconds(_ value: Double) -> JSONValue { .double((value * 1000).rounded() / 1000) }

  static func trimmed(_ text: String) -> String {
    let scalars = text.unicodeScalars
    guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
      let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
    else { return "" }
    return String(scalars[first...last])
  }
}
