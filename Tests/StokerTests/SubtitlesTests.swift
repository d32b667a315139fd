import PluginProtocol
import Testing

@testable import stoker

struct SubtitlesTests {
  private func result(_ segments: [JSONValue]) -> JSONValue { ["text": " all of it ", "segments": .array(segments)] }

  private func segment(_ start: Double, _ end: Double, _ text: String) -> JSONValue {
    ["start": .double(start), "end": .double(end), "text": .string(text)]
  }

  private var talk: JSONValue {
    result([
      segment(2.5, 4.0004, " Ask not what <b>your</b> country & you --> can do"),
      segment(0, 2.4996, "And so,\n\nmy fellow"),
      segment(5, 6, "  \n "), segment(3661.25, 3661.25, "end"),
    ])
  }

  @Test func subRip() throws {
    #expect(
      try TranscriptFormat.srt.text(of: talk) == """
        1
        00:00:00,000 --> 00:00:02,500
        And so,
        my fellow

        2
        00:00:02,500 --> 00:00:04,000
        Ask not what <b>your</b> country & you → can do

        3
        01:01:01,250 --> 01:01:01,251
        end

        """)
  }

  @Test func webVTT() throws {
    #expect(
      try TranscriptFormat.vtt.text(of: talk) == """
        WEBVTT

        00:00:00.000 --> 00:00:02.500
        And so,
        my fellow

        00:00:02.500 --> 00:00:04.000
        Ask not what &lt;b&gt;your&lt;/b&gt; country &amp; you --&gt; can do

        01:01:01.250 --> 01:01:01.251
        end

        """)
  }

  @Test func textAndJSON() throws {
    #expect(try TranscriptFormat.txt.text(of: talk) == "all of it\n")
    #expect(try JSONValue(parsing: try TranscriptFormat.json.text(of: talk)) == talk)
    #expect(throws: CLIError.self) { try TranscriptFormat.txt.text(of: [:]) }
  }

  @Test func aSilentRecordingHasNoCues() throws {
    #expect(try TranscriptFormat.srt.text(of: result([])) == "")
    #expect(try TranscriptFormat.vtt.text(of: result([])) == "WEBVTT\n")
  }

  /// An engine without segments gives none, or their number.
  @Test(arguments: [["text": "x"], ["text": "x", "segments": 3]] as [JSONValue])
  func withoutTimesThereAreNoSubtitles(result: JSONValue) {
    #expect { try TranscriptFormat.srt.text(of: result) } throws: { error in
      CLIError(error).errorClass == "no_segments" && CLIError(error).message.contains("--format txt")
    }
  }

  @Test func hostileSegmentsDoNotBreakTheFile() throws {
    let cues = try Subtitles(
      result: result([
        "x", [:], ["start": "1", "end": 2, "text": "no number"], segment(.nan, 1, "nan"), segment(.infinity, 1, "inf"),
        segment(-5, -3, "early"), segment(1e300, 1e300, "late"), segment(4, 3, "backwards"),
        segment(1, 2, "esc\u{1B}[2J\u{2028}two\r\nthree\u{0}"), ["start": 7, "end": 8],
      ])
    ).cues
    #expect(cues.map(\.lines) == [["early"], ["esc [2J", "two", "three"], ["backwards"], ["late"]])
    #expect(cues.allSatisfy { $0.start >= 0 && $0.end > $0.start })
    #expect(cues.map(\.start) == cues.map(\.start).sorted())
  }

  @Test func hoursMayBeMany() { #expect(Subtitles.time(360_000_000, ",") == "100:00:00,000") }
}
