import Foundation
import PluginProtocol
import Testing

@testable import Host

struct WireTailTests {
  private func at(_ milliseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }
  private func line(_ text: String) -> LineFramer.Event { .line(Array(text.utf8)) }

  @Test func keepsTheLastFramesOfEachDirectionInTheirOrder() {
    var tail = WireTail()
    #expect(tail.frames.isEmpty)
    for number in 0..<20 { tail.sent(Array("{\"s\":\(number)}\n".utf8), now: at(Int64(number))) }
    // A flood from the engine does not push out what it was asked.
    for number in 0..<10_000 { tail.received(line("{\"r\":\(number)}"), now: at(100 + Int64(number))) }
    let frames = tail.frames
    let sent = (12..<20).map { "{\"s\":\($0)}" }
    let received = (9992..<10_000).map { "{\"r\":\($0)}" }
    #expect(frames.map { String(decoding: $0.beginning, as: UTF8.self) } == sent + received)
    #expect(frames.map(\.isFromEngine) == sent.map { _ in false } + received.map { _ in true })
    #expect(frames.allSatisfy { $0.length == $0.beginning.count })
  }

  @Test func longFramesAreCutAndTheirTrueLengthIsTold() throws {
    var tail = WireTail()
    tail.received(line("{" + String(repeating: "1", count: 5000)), now: at(0))
    tail.received(.overlong(length: 1 << 30, prefix: Array(repeating: 0x41, count: 4096)), now: at(1))
    tail.received(line(""), now: at(2))
    tail.sent(Array("{}\n".utf8), now: at(3))
    let frames = tail.frames
    #expect(frames.map(\.length) == [5001, 1 << 30, 0, 2])
    #expect(frames.map(\.beginning.count) == [WireTail.bytes, WireTail.bytes, 0, 2])
    let shown = try #require(frames.first?.json(end: at(12)))
    #expect(shown["msBeforeEnd"]?.int == 12 && shown["bytes"]?.int == 5001)
    #expect(shown["frame"]?.string?.hasSuffix("[cut: 5001 bytes]") == true)
    #expect(shown["frame"]?.string.map { $0.utf8.count < 600 } == true)
  }

  @Test func controlCharactersAreMadeVisible() {
    var tail = WireTail()
    tail.received(.line(Array("\u{1B}[2J not json \r\u{202E}".utf8) + [0, 0xFF]), now: at(0))
    let shown = tail.frames.first?.json(end: nil)["frame"]?.string ?? ""
    #expect(shown.contains("not json"))
    #expect(shown.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E })
  }

  /// About a microsecond a frame in a debug build; the bound is there for what is quadratic or allocates.
  @Test func aFrameCostsLittle() {
    var tail = WireTail()
    let frame = Array(repeating: UInt8(0x41), count: 2000)
    let clock = SystemHostClock()
    let start = clock.now()
    for _ in 0..<20_000 { tail.received(.line(frame), now: at(0)) }
    let each = start.duration(to: clock.now()) / 20_000
    print("measured wire tail: \(each.saturatedNanoseconds) ns a frame (debug build)")
    #expect(each < .microseconds(100))
  }
}

struct WireRedactionTests {
  private func redact(_ text: String) -> String { WireRedaction.redact(Array(text.utf8)) }

  @Test(arguments: [
    (
      #"{"id":1,"params":{"task":{"prompt":"secret"},"model":"m"}}"#,
      #"{"id":1,"params":{"task":"[hidden: 19 bytes]","model":"m"}}"#
    ),
    (#"{"config" : {"key":"secret, \"}"} ,"a":[1,2]}"#, #"{"config":"[hidden: 21 bytes]" ,"a":[1,2]}"#),
    (#"{"task":[{"a":"secret"},["secret"]],"b":1}"#, #"{"task":"[hidden: 27 bytes]","b":1}"#),
    (#"{"text":"secret","seq":1}"#, #"{"text":"[hidden: 8 bytes]","seq":1}"#),
    (#"{"data":17,"seq":1}"#, #"{"data":"[hidden: 2 bytes]","seq":1}"#),
    (#"{"a":{"output":null}}"#, #"{"a":{"output":"[hidden: 4 bytes]"}}"#),
    // Under names of secrets, under names that are written in a way of their own, and in batches.
    (#"{"params":{"hf_token":"secret","n":1}}"#, #"{"params":{"hf_token":"[hidden: 8 bytes]","n":1}}"#),
    (#"{"t\u0061sk":"secret"}"#, #"{"t\u0061sk":"[hidden: 8 bytes]"}"#),
    (#"[{"task":"secret"}]"#, #"[{"task":"[hidden: 8 bytes]"}]"#),
    // Cut off in the middle.
    (#"{"id":1,"params":{"task":{"prompt":"secr"#, #"{"id":1,"params":{"task":"[hidden]""#),
    (#"{"id":1,"params":{"task":"#, #"{"id":1,"params":{"task":"[hidden]""#),
    (#"{"id":1,"par"#, #"{"id":1,"par"#),
    (#"{"a":"b\"#, #"{"a":"b\"#),
    // Not hidden: a value that happens to be called so.
    (#"{"kind":"task","message":"it broke"}"#, #"{"kind":"task","message":"it broke"}"#),
    ("Loading \"task\": 3", "Loading \"task\": 3"), ("", ""),
  ])
  func hidesWhatIsNotForEvidence(_ frame: String, _ expected: String) {
    #expect(redact(frame) == expected)
  }

  @Test func longStringsAreCutUnderWhateverName() {
    let long = String(repeating: "x", count: 300)
    let shown = redact("{\"anything\":\"\(long)\",\"after\":1}")
    #expect(shown.contains("[300 bytes]") && shown.hasSuffix(",\"after\":1}") && shown.utf8.count < 180)
  }

  /// Whatever the bytes are, nothing of a hidden value passes and the end is reached.
  @Test func anyBeginningOfAFrameIsSafe() {
    let frame = Array(
      #"{"jsonrpc":"2.0","id":7,"params":{"config":{"token":"s3cret"},"task":{"p":"s3cret"},"x":1}}"#.utf8)
    for count in 0...frame.count {
      #expect(!WireRedaction.redact(Array(frame[..<count])).contains("s3"))
    }
    var numbers = SeededNumbers(7)
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0..<80, using: &numbers)).map { _ in
        Array("{}[]\",:\\ task0".utf8).randomElement(using: &numbers) ?? 0
      }
      _ = WireRedaction.redact([0x7B] + bytes)
    }
  }
}
