import PluginProtocol
import Testing

@testable import stoker

struct ScreenTests {
  @Test func statusIsReadable() {
    let status: JSONValue = [
      "version": "1.0", "pid": 42, "home": "/srv", "state": "running", "uptimeSeconds": 125, "rssBytes": 10_485_760,
      "cpuThreads": 2, "jobs": ["queued": 1, "running": 2, "succeeded": 3, "failed": 0, "cancelled": 0],
      "coordinators": [["name": "local", "state": "ready"]],
      "plugins": [
        [
          "name": "llama", "version": "1.2", "state": "backoff", "backoffSeconds": 2.5, "kinds": ["llm"],
          "processes": [["pid": 7, "models": ["m\u{1B}[2J"]]],
        ]
      ],
    ]
    let text = StatusScreen(status: status, now: 0).lines(for: Transcript().console()).joined(separator: "\n")
    for expected in [
      "running, pid 42, version 1.0", "2 min 05 s", "10.0 MiB resident", "1 queued, 2 running, 3 succeeded",
      "local ready",
      "backoff (2.5 s)", "m␛[2J",
    ] { #expect(text.contains(expected), "\(expected)") }
  }

  @Test func aJobIsShownWithItsAttemptsAndError() throws {
    let text = JobDetails(job: try JobView(finishedJob("failed")), now: 0).text(for: Transcript().console())
    #expect(text.contains("1 · llama · pid 7 · failed"))
    #expect(text.contains("the prompt does not fit"))
    #expect(text.contains("line two"))
  }

  @Test func aPluginIsShownInFull() {
    let answer: JSONValue = [
      "plugin": [
        "name": "llama", "version": "1", "state": "ready", "serves": [["kind": "llm", "models": ["*.gguf"]]],
        "problems": ["slow"], "processes": [["pid": 9, "state": "busy", "jobs": ["j1"], "rssBytes": 1024]],
      ], "counters": ["noise": 2, "crashes": 0], "config": ["contextSize": 8192],
      "history": [["at": "1970-01-01T00:00:00.000Z", "event": "started", "detail": "pid 9"]], "stderr": ["oops\u{7}"],
    ]
    let lines = PluginScreen.details(answer, now: 5000, for: Transcript().console(terminal: true))
    let text = lines.joined(separator: "\n")
    for expected in [
      "llm: *.gguf", "slow", "pid 9 · busy · 1.0 KiB · jobs j1", "noise 2", "contextSize = 8192",
      "5 s ago  started: pid 9", "oops␇",
    ] { #expect(text.contains(expected), "\(expected)") }
    #expect(!text.contains("crashes"))
  }

  @Test func logLinesCannotBeForged() {
    let event: JSONValue = [
      "at": "t", "level": "error", "source": "llama", "job": "j1", "message": "bad\nt error fake: \u{1B}[2J",
    ]
    #expect(
      LogLine.text(event, for: Transcript().console(terminal: true)) == "t error   llama [j1]: bad t error fake: ␛[2J")
  }
}
