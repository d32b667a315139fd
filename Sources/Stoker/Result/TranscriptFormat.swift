import PluginProtocol

/// How a transcript is written.
enum TranscriptFormat: String, CaseIterable, Sendable {
  /// The text alone.
  case txt
  /// The whole result.
  case json
  /// SubRip: numbered cues, times with a comma.
  case srt
  /// WebVTT: https://www.w3.org/TR/webvtt1/.
  case vtt
}

/// A result of speech recognition as subtitles.
struct Subtitles: Equatable, Sendable {
  struct Cue: Equatable, Sendable {
    /// Milliseconds from the beginning of the recording; `end` is after `start`.
    var start: Int64
    var end: Int64
    /// Lines that are not empty, one at least.
    var lines: [String]
  }

  let cues: [Cue]

  /// Reads the `segments` of a result, each `{start, end, text}` with times in seconds. Ones without text, or whose times
  /// are no numbers, are left out; the others are sorted by their beginning.
  ///
  /// - Throws: `CLIError` when the result has no list of segments: some engines give a text alone.
  init(result: JSONValue) throws {
    guard let segments = result["segments"]?.array else {
      throw CLIError(
        .failed, class: "no_segments",
        "the engine gave no times, of which subtitles are made; write the text with --format txt instead")
    }
    cues = segments.compactMap(Subtitles.cue).enumerated().sorted {
      ($0.element.start, $0.offset) < ($1.element.start, $1.offset)
    }.map(\.element)
  }

  private static func cue(_ segment: JSONValue) -> Cue? {
    guard let start = milliseconds(segment["start"]), let end = milliseconds(segment["end"]) else { return nil }
    // Neither format has a way to write a control character, and an empty line ends a cue.
    let lines = (segment["text"]?.string ?? "").split(whereSeparator: \.isNewline).map { line in
      String(String.UnicodeScalarView(line.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
        .trimmed()
    }.filter { !$0.isEmpty }
    return lines.isEmpty ? nil : Cue(start: start, end: max(end, start + 1), lines: lines)
  }

  private static func milliseconds(_ value: JSONValue?) -> Int64? {
    guard let seconds = value?.double, seconds.isFinite else { return nil }
    // Ten thousand hours: beyond that somebody errs.
    return Int64((min(max(seconds, 0), 36_000_000) * 1000).rounded())
  }

  /// SubRip. An arrow within a text would be taken for times, so it is written as another one.
  var srt: String {
    cues.enumerated().map { index, cue in
      let lines = cue.lines.map { $0.replacing("-->", with: "→") }
      return "\(index + 1)\n\(Subtitles.time(cue.start, ",")) --> \(Subtitles.time(cue.end, ","))\n"
        + lines.joined(separator: "\n") + "\n"
    }.joined(separator: "\n")
  }

  /// WebVTT, with `&`, `<` and `>` escaped, so that no text is taken for a tag or for times.
  var vtt: String {
    "WEBVTT\n"
      + cues.map { cue in
        let lines = cue.lines.map {
          $0.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
        }
        return "\n\(Subtitles.time(cue.start, ".")) --> \(Subtitles.time(cue.end, "."))\n"
          + lines.joined(separator: "\n") + "\n"
      }.joined()
  }

  /// `01:02:03,004`; hours may have more digits.
  static func time(_ milliseconds: Int64, _ point: String) -> String {
    let pad = { (value: Int64, width: Int) in
      let text = String(value)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    let seconds = milliseconds / 1000
    return "\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2))\(point)"
      + pad(milliseconds % 1000, 3)
  }
}

extension TranscriptFormat {
  /// A result in this format, ended by a line end.
  func text(of result: JSONValue) throws -> String {
    switch self {
    case .txt:
      guard let text = result["text"]?.string else {
        throw CLIError(.failed, class: "no_text", "the result has no text; write it with --format json instead")
      }
      return text.trimmed() + "\n"
    case .json: return result.prettyText + "\n"
    case .srt: return try Subtitles(result: result).srt
    case .vtt: return try Subtitles(result: result).vtt
    }
  }
}

extension String {
  /// Without the white space at both ends.
  fileprivate func trimmed() -> String {
    guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else {
      return ""
    }
    return String(self[first...last])
  }
}
