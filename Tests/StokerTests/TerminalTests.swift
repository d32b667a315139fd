import PluginProtocol
import Testing

@testable import stoker

struct TerminalTests {
  @Test func whatSteersATerminalIsShownInstead() {
    let cases = [
      ("plain text", "plain text"), ("\u{1B}[31mred\u{1B}[0m", "␛[31mred␛[0m"), ("a\rb", "a␍b"), ("\u{7}\u{0}", "␇␀"),
      ("\u{9B}2J", "\u{FFFD}2J"), ("\u{7F}", "␡"), ("\u{202E}gnp.exe", "\u{FFFD}gnp.exe"), ("l1\nl2\tx", "l1\nl2\tx"),
      ("\u{1B}]0;title\u{7}", "␛]0;title␇"), ("grüße 漢字 👍", "grüße 漢字 👍"),
    ]
    for (raw, shown) in cases { #expect(TerminalText.sanitise(raw, keepsLines: true) == shown) }
    #expect(TerminalText.sanitise("a\nb\tc", keepsLines: false) == "a b c")
    // Cut in two, a sequence is still caught.
    #expect(
      TerminalText.sanitise("\u{1B}", keepsLines: true) + TerminalText.sanitise("[2J", keepsLines: true) == "␛[2J")
  }

  @Test func textIsCutByColumns() {
    #expect(TerminalText.cut("abcdef", to: 6) == "abcdef")
    #expect(TerminalText.cut("abcdef", to: 4) == "abc…")
    #expect(TerminalText.cut("漢字漢字", to: 5) == "漢字…")
    #expect(TerminalText.cut("abc", to: 0) == "")
    #expect(TerminalText.width("e\u{301}") == 1)
  }

  @Test func tablesAreAlignedAndCut() {
    var table = Table([.init(title: "ID"), .init(title: "MODEL", isFlexible: true), .init(title: "N", isNumeric: true)])
    table.add(["1", "a-rather-long-model-name", "5"])
    table.add(["22", "m\u{1B}[2J\nx", "1234"])
    table.add(["3", "", "0"])
    #expect(
      table.lines(for: Transcript().console()) == [
        "ID  MODEL                        N", "1   a-rather-long-model-name     5",
        "22  m␛[2J x                   1234",
        "3   -                            0",
      ])
    let narrow = table.lines(for: Transcript().console(width: 20))
    #expect(narrow.allSatisfy { TerminalText.width($0) <= 20 })
    #expect(narrow[1] == "1   a-rather-…     5")
    let coloured = table.lines(for: Transcript().console(colour: true))
    #expect(coloured[0].hasPrefix("\u{1B}[1mID"))
  }

  @Test func numbersReadWell() {
    #expect(Human.bytes(512) == "512 B")
    #expect(Human.bytes(102_400_000) == "97.7 MiB")
    #expect(Human.duration(milliseconds: 850) == "850 ms")
    #expect(Human.duration(milliseconds: 1449) == "1.4 s")
    #expect(Human.duration(milliseconds: 125_000) == "2 min 05 s")
    #expect(Human.duration(milliseconds: 11_520_000) == "3 h 12 min")
    #expect(Human.milliseconds("1970-01-02T00:00:00.042Z") == 86_400_042)
    #expect(Human.milliseconds("2024-02-29T12:00:00Z") == 1_709_208_000_000)
    #expect(Human.milliseconds("yesterday") == nil)
    #expect(Human.relative("1970-01-01T00:00:00.000Z", now: 65_000) == "1 min ago")
    #expect(Human.relative("1970-01-01T01:00:00.000Z", now: 0) == "in 1 h")
    #expect(Human.relative("soon", now: 0) == "soon")
  }

  @Test func progressBarsFitTheirLine() {
    let bar = ProgressBar(label: "pull\u{1B}[2J", fraction: 0.5, detail: "8.1 MiB/s")
    let text = bar.text(columns: 80)
    #expect(text == "pull␛[2J  ━━━━━━━━━━━━────────────  50 %  8.1 MiB/s")
    #expect(TerminalText.width(bar.text(columns: 20)) <= 19)
    #expect(ProgressBar(event: ["type": "progress", "progress": ["step": 3, "steps": 4]])?.fraction == 0.75)
    #expect(ProgressBar(event: ["type": "state", "loading": ["model": "m", "fraction": 0.1]])?.label == "loading m")
    #expect(ProgressBar(event: ["type": "note", "text": "x"]) == nil)
  }

  @Test func nothingIsDrawnInAPipe() {
    let transcript = Transcript()
    let pipe = ProgressLine(transcript.console(terminal: false), isQuiet: false)
    pipe.show(ProgressBar(label: "x", fraction: 0.5))
    pipe.clear()
    let quiet = ProgressLine(transcript.console(terminal: true), isQuiet: true)
    quiet.show(ProgressBar(label: "x", fraction: 0.5))
    #expect(transcript.err.isEmpty)
    ProgressLine(transcript.console(terminal: true), isQuiet: false).show(ProgressBar(label: "x", fraction: 0.5))
    #expect(transcript.err.contains("50 %"))
  }

  @Test func theMeterKnowsRateAndRest() {
    var meter = DownloadMeter()
    let start = ContinuousClock.now
    meter.update(bytes: 0, at: start)
    #expect(meter.text(bytes: 0, total: 100 << 20) == "0 B of 100.0 MiB")
    meter.update(bytes: 10 << 20, at: start + .seconds(1))
    #expect(meter.text(bytes: 10 << 20, total: 100 << 20) == "10.0 MiB of 100.0 MiB  10.0 MiB/s  9.0 s left")
    meter.update(bytes: 0, at: start + .seconds(2))
    #expect(meter.rate == nil)
  }
}
