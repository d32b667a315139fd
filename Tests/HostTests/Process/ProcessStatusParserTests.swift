import Testing

@testable import Host

@Suite struct ProcessStatusParserTests {
  private static let text = """
    started 4711 123456789
    exited 3 2048
    signaled 11 1 10
    failed exec 8
    failed directory 2
    swept 7 0

    """
  private static let records: [ProcessStatusRecord] = [
    .started(pid: 4711, startTime: 123_456_789),
    .exited(code: 3, maxRSSBytes: 2048 * 1024),
    .signaled(signal: 11, coreDumped: true, maxRSSBytes: 10240),
    .failed(step: .exec, errno: 8),
    .failed(step: .directory, errno: 2),
    .swept(removed: 7, left: 0),
  ]

  @Test(arguments: [1, 2, 7, 1000]) func recordsFromPiecesOfAnySize(size: Int) throws {
    var parser = ProcessStatusParser()
    var found: [ProcessStatusRecord] = []
    let bytes = Array(Self.text.utf8)
    for start in stride(from: 0, to: bytes.count, by: size) {
      found += try parser.append(bytes[start..<min(start + size, bytes.count)])
    }
    #expect(found == Self.records)
  }

  @Test func aLineWithoutItsEndIsNoRecord() throws {
    var parser = ProcessStatusParser()
    #expect(try parser.append("exited 0 1".utf8).isEmpty)
    #expect(try parser.append("0\n".utf8) == [.exited(code: 0, maxRSSBytes: 10240)])
  }

  @Test(arguments: [
    "", "nonsense", "started", "started 0 1", "started -4 1", "started 4", "started 4 5 6", "exited x 1",
    "failed lunch 3", "exited 0 99999999999999999999", "exited 0 18446744073709551615", "signaled 11 1", "swept a b",
    "exited  0 1",
  ])
  func malformedLinesAreErrorsAndTheNextLineIsRead(line: String) throws {
    var parser = ProcessStatusParser()
    #expect(throws: ProcessStatusParser.Malformed(line: line)) { try parser.append("\(line)\n".utf8) }
    #expect(try parser.append("swept 0 0\n".utf8) == [.swept(removed: 0, left: 0)])
  }

  @Test func anEndlessLineIsNotKept() throws {
    var parser = ProcessStatusParser()
    for _ in 0..<1000 { _ = try parser.append([UInt8](repeating: 65, count: 1000)) }
    let error = #expect(throws: ProcessStatusParser.Malformed.self) { try parser.append("\n".utf8) }
    #expect(error?.line.utf8.count == 128)
  }
}
