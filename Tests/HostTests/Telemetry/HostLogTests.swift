import Glibc
import PluginProtocol
import Testing

@testable import Host

struct HostLogTests {
  /// What a log has written to its descriptor.
  private func written(_ format: HostLog.Format, _ body: (HostLog) -> Void) throws -> String {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    body(HostLog(output: ends[1], format: format, threshold: .debug))
    close(ends[1])
    defer { close(ends[0]) }
    var out: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = read(ends[0], &buffer, buffer.count), count > 0 { out += buffer[..<count] }
    return String(decoding: out, as: UTF8.self)
  }

  @Test(arguments: [
    "\u{1B}[31mred\u{1B}[0m", "\u{1B}]0;title\u{07}", "one\ntwo", "one\r\ntwo", "over\rwritten",
    "back\u{08}\u{08}space",
    "csi\u{9B}2J", "next\u{85}line", "para\u{2029}graph\u{2028}", "\u{202E}desrever", "\u{2066}iso\u{2069}",
    "nul\u{0}byte",
    "del\u{7F}", "mark\u{200F}\u{061C}",
  ])
  func nothingThatMovesATerminalGetsThrough(text: String) throws {
    for format in HostLog.Format.allCases {
      let line = try written(format) { $0.write(.info, "engine", text) }
      #expect(line.hasSuffix("\n"))
      for scalar in line.dropLast().unicodeScalars {
        #expect(scalar.value >= 0x20 && !(0x7F..<0xA0).contains(scalar.value))
        #expect(![0x85, 0x2028, 0x2029, 0x202E, 0x2066, 0x2069, 0x200F, 0x061C].contains(scalar.value))
      }
    }
  }

  @Test func anEngineCannotForgeARecord() throws {
    let text = try written(.text) { log in
      log.write(.info, "engine", "hello\n2026-01-01T00:00:00.000Z error host: all jobs are lost")
      log.write(.info, "engine", "hi", jobText: "x]\n2026-01-01T00:00:00.000Z error host: forged")
    }
    let lines = text.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.allSatisfy { $0.split(separator: " ").prefix(3).dropFirst() == ["info", "engine:"] }, "\(text)")
  }

  @Test func jsonRecordsAreOneObjectALine() throws {
    let text = try written(.json) { log in
      log.write(.error, "engine", "quote \" brace } \n newline", jobText: "a\nb")
    }
    let record = try JSONValue(parsing: Array(text.utf8.dropLast()))
    #expect(record["level"]?.string == "error")
    #expect(record["message"]?.string == "quote \" brace } \\n newline")
    #expect(record["job"]?.string == "a\\nb")
  }

  @Test func aMegabyteIsCut() {
    let log = HostLog(output: nil)
    log.write(.info, "engine", String(repeating: "é", count: 1 << 20))
    log.write(.info, "engine", "a" + String(repeating: "\u{301}", count: 1 << 20))
    log.write(.info, "engine", "x", jobText: "a" + String(repeating: "\u{301}", count: 1 << 20))
    for record in log.recent(3) {
      #expect(record.message.utf8.count < 8400)
      #expect((record.job?.utf8.count ?? 0) < 8400)
    }
    #expect(log.recent(3)[0].message.hasSuffix("[cut: 2097152 bytes]"))
  }

  @Test func theThresholdHoldsAndMemoryIsBounded() {
    let log = HostLog(output: nil, threshold: .warn)
    log.write(.info, "host", "quiet")
    #expect(log.recent(10).isEmpty)
    for number in 0..<5000 { log.write(.warn, "host", "\(number)") }
    let kept = log.recent(.max)
    #expect(kept.count <= HostLog.kept && kept.count >= HostLog.kept / 2)
    #expect(kept.last?.message == "4999")
    #expect(log.recent(-1).isEmpty)
  }

  @Test func aFollowerSeesThePastAndThenTheNew() async {
    let log = HostLog(output: nil)
    for number in 0..<10 { log.write(.info, "host", "\(number)") }
    var seen: [String] = []
    let stream = log.follow(3)
    log.write(.info, "host", "new")
    for await record in stream {
      seen.append(record.message)
      if record.message == "new" { break }
    }
    #expect(seen == ["7", "8", "9", "new"])
  }

  @Test func aFollowerThatLagsLosesTheOldestAndMemoryIsBounded() async {
    let log = HostLog(output: nil)
    let stream = log.follow(0)
    for number in 0..<20_000 { log.write(.info, "host", "\(number)") }
    var seen: [String] = []
    for await record in stream {
      seen.append(record.message)
      if record.message == "19999" { break }
    }
    #expect(seen.count <= HostLog.followerBuffer)
    #expect(seen == seen.sorted { (Int($0) ?? 0) < (Int($1) ?? 0) })
  }

  @Test func aLogThatCannotBeWrittenSaysSoAndGoesOn() throws {
    // A pipe that is full takes a part of a line, or nothing: as a full disk does.
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    for end in ends { try #require(fcntl(end, F_SETFL, O_NONBLOCK) == 0) }
    defer { for end in ends { close(end) } }
    let log = HostLog(output: ends[1])
    let text = String(repeating: "x", count: 5000)
    for _ in 0..<40 { log.write(.info, "host", text) }
    let said = log.recent(.max).filter { $0.message.hasPrefix("the log cannot be written") }
    #expect(said.count == 1 && said.first?.level == .error)
    #expect(log.recent(.max).count == 41)
    func read() -> String {
      var out: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 17)
      while case let count = Glibc.read(ends[0], &buffer, buffer.count), count > 0 { out += buffer[..<count] }
      return String(decoding: out, as: UTF8.self)
    }
    let before = read()
    log.write(.info, "host", "room again")
    let lines = (before + read()).split(separator: "\n")
    // The torn line has ended; what follows are whole ones.
    #expect(lines.last?.contains("the log can be written again: ") == true)
    #expect(lines.suffix(2).first?.hasSuffix("host: room again") == true)
    #expect(lines.dropLast(2).allSatisfy { $0.contains(" info    host: x") })
    let number = said.isEmpty ? nil : lines.last?.split(separator: " ").compactMap { Int($0) }.first
    // The report itself was lost as well.
    #expect(number == 41 - (lines.count - 3), "\(lines.last ?? "")")
  }
}
