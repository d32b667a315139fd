import Testing

@testable import Host

@Suite struct HTTPHeadTests {
  private func read(_ lines: [String]) -> (HTTPHead, [HTTPHead.Step]) {
    var head = HTTPHead()
    let steps = lines.map { line in Array(line.utf8).withUnsafeBytes { head.take($0) } }
    return (head, steps)
  }

  @Test func answersBeforeTheRealOneAreForgotten() {
    let (head, steps) = read([
      "HTTP/1.1 100 Continue\r\n", "X: early\r\n", "\r\n", "HTTP/1.1 206 Partial Content\r\n",
      "Content-Range:\t bytes 0-9/10 \r\n", "ETag: \"a  b\"\r\n", "\r\n", "X: trailer\r\n",
    ])
    #expect(head.status == 206 && steps[2] == .goOn && steps[6] == .complete && steps[7] == .goOn)
    #expect(head.headers == ["content-range": "bytes 0-9/10", "etag": "\"a  b\""])
  }

  @Test func tooMuchIsRefusedWhereverItComes() {
    let long = "A: " + String(repeating: "x", count: 40_000) + "\r\n"
    #expect(read(["HTTP/2 200 \r\n", long, long]).1.last == .tooLong)
    let early = ["HTTP/1.1 100 C\r\n", long, "\r\n", "HTTP/1.1 200 OK\r\n", long]
    #expect(read(early).1.last == .tooLong)
  }

  @Test func garbageIsNoAnswer() {
    let (head, steps) = read(["HTTP/x\r\n", "no colon\r\n", "\r\n", "HTTP/1.1 9999999999999999999999\r\n", "\n"])
    #expect(steps.dropLast().allSatisfy { $0 == .goOn } && head.status == 999)
  }
}
