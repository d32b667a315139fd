import Testing

@testable import Host

struct OutboundQueueTests {
  static func frame(_ text: String, urgent: Bool = false, job: String? = nil) -> OutboundFrame {
    OutboundFrame(bytes: Array(text.utf8), urgent: urgent, startsJob: job)
  }

  /// Writes everything, `step` bytes at a time.
  static func drain(_ queue: inout OutboundQueue, step: Int = .max) -> String {
    var out: [UInt8] = []
    while let head = queue.head() {
      let count = min(step, head.count)
      out += head.prefix(count)
      queue.advance(count)
    }
    return String(decoding: out, as: UTF8.self)
  }

  @Test(arguments: [1, 2, 3, 7, Int.max])
  func framesStayWholeWhateverThePipeTakes(step: Int) {
    var queue = OutboundQueue(limit: 1000)
    for text in ["one\n", "two\n", "three\n"] { #expect(queue.push(Self.frame(text)) == true) }
    #expect(Self.drain(&queue, step: step) == "one\ntwo\nthree\n")
    #expect(queue.isEmpty && queue.bytes == 0)
  }

  @Test func urgentOvertakesButNeverSplits() {
    var queue = OutboundQueue(limit: 1000)
    _ = queue.push(Self.frame("first\n"))
    _ = queue.push(Self.frame("second\n"))
    #expect(queue.head()?.count == 6)
    queue.advance(3)
    _ = queue.push(Self.frame("cancel\n", urgent: true))
    _ = queue.push(Self.frame("ping\n", urgent: true))
    #expect(Self.drain(&queue) == "st\ncancel\nping\nsecond\n")
  }

  @Test func urgentOvertakesAFrameThatThePipeDidNotTake() {
    var queue = OutboundQueue(limit: 1000)
    _ = queue.push(Self.frame("run\n"))
    _ = queue.head()
    queue.advance(0)
    _ = queue.push(Self.frame("cancel\n", urgent: true))
    #expect(Self.drain(&queue) == "cancel\nrun\n")
    #expect(queue.bytes == 0)
  }

  @Test func theBoundHoldsForOrdinaryFramesOnly() {
    var queue = OutboundQueue(limit: 10)
    #expect(queue.push(Self.frame("123456789\n")) == true)
    #expect(queue.push(Self.frame("\n")) == false)
    #expect(queue.push(Self.frame("cancel\n", urgent: true)) == true)
    #expect(queue.bytes == 17)
    #expect(Self.drain(&queue) == "cancel\n123456789\n")
    #expect(queue.push(Self.frame("again\n")) == true)
  }

  @Test func withdrawTakesBackWhatIsNotBegun() {
    var queue = OutboundQueue(limit: 1000)
    for job in ["a", "b", "c"] { _ = queue.push(Self.frame("run \(job)\n", job: job)) }
    #expect(queue.withdraw(jobID: "b") == true)
    #expect(queue.withdraw(jobID: "b") == false)
    #expect(queue.withdraw(jobID: "z") == false)
    _ = queue.head()
    queue.advance(1)
    #expect(queue.withdraw(jobID: "a") == false, "half of it is out")
    #expect(Self.drain(&queue) == "un a\nrun c\n")
    #expect(queue.bytes == 0)
  }

  /// Between `head` and `advance` another thread may be inside write(2) with those bytes.
  @Test func withdrawLeavesWhatIsBeingWritten() {
    var queue = OutboundQueue(limit: 1000)
    _ = queue.push(Self.frame("run a\n", job: "a"))
    _ = queue.head()
    #expect(queue.withdraw(jobID: "a") == false)
    queue.advance(0)
    #expect(queue.withdraw(jobID: "a") == true, "the pipe took nothing")
    #expect(queue.isEmpty && queue.head() == nil)
  }

  @Test(arguments: 0..<30)
  func anyOrderKeepsFramesWholeAndCounted(seed: UInt64) {
    var numbers = SeededNumbers(seed)
    var queue = OutboundQueue(limit: 400)
    var out = ""
    var expected: Set<String> = []
    for step in 0..<300 {
      switch Int.random(in: 0..<10, using: &numbers) {
      case 0..<3:
        let text = String(repeating: "o", count: Int.random(in: 0..<40, using: &numbers)) + "\(step)"
        if queue.push(Self.frame(text + "\n", job: text)) { expected.insert(text) }
      case 3:
        let text = "u\(step)"
        #expect(queue.push(Self.frame(text + "\n", urgent: true)) == true)
        expected.insert(text)
      case 4:
        if let victim = expected.randomElement(using: &numbers), queue.withdraw(jobID: victim) {
          expected.remove(victim)
        }
      default:
        if let head = queue.head() {
          let count = Int.random(in: 0...head.count, using: &numbers)
          out += String(decoding: head.prefix(count), as: UTF8.self)
          queue.advance(count)
        }
      }
    }
    out += Self.drain(&queue)
    #expect(queue.bytes == 0)
    #expect(Set(out.split(separator: "\n").map(String.init)) == expected)
    #expect(out.split(separator: "\n").count == expected.count)
  }
}
