import Synchronization
import Testing

@testable import Host

struct JobIDTests {
  @Test func textIsARoundTripAndValid() throws {
    let generator = JobIDGenerator { 0x0123_4567_89AB }
    let id = generator.next()
    let text = id.description
    #expect(text.count == 36)
    #expect(text.hasPrefix("01234567-89ab-7"))
    #expect("89ab".contains(text[text.index(text.startIndex, offsetBy: 19)]))
    #expect(text == text.lowercased())
    #expect(JobID(text) == id)
    #expect(JobID(text.uppercased()) == id)
    #expect(id.milliseconds == 0x0123_4567_89AB)
  }

  /// The example of RFC 9562, appendix A.6.
  @Test func readsTheExampleOfTheRFC() throws {
    let id = try #require(JobID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"))
    #expect(id.milliseconds == 0x017F_22E2_79B0)
    #expect(id.description == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
  }

  @Test(arguments: [
    "", "017f22e2", "017f22e2-79b0-4cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
    "017f22e279b07cc398c4dc0c0c07398f", "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", "../../../../etc/passwd/../../../../aa",
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398é",
  ])
  func refusesWhatIsNotAJobID(text: String) { #expect(JobID(text) == nil) }

  @Test func growsWhileTheClockStandsStillAndGoesBack() {
    let now = Mutex<Int64>(1_000_000)
    let generator = JobIDGenerator { now.withLock { $0 } }
    var last = generator.next()
    for round in 0..<20_000 {
      if round == 10_000 { now.withLock { $0 = 5 } }
      if round == 15_000 { now.withLock { $0 = -1 } }
      let next = generator.next()
      #expect(last < next)
      #expect(last.description < next.description)
      last = next
    }
    #expect(last.milliseconds >= 1_000_000)
    now.withLock { $0 = 2_000_000 }
    #expect(generator.next().milliseconds == 2_000_000)
  }

  @Test func growsBeyondTheLastIDOfAFormerLife() {
    let former = JobIDGenerator { 9_000 }.next()
    let generator = JobIDGenerator(after: former) { 10 }
    #expect(generator.next() > former)
  }

  @Test func isUniqueOverConcurrentCallers() async {
    let generator = JobIDGenerator { 77 }
    let ids = await withTaskGroup(of: [JobID].self) { group in
      for _ in 0..<8 { group.addTask { (0..<2_000).map { _ in generator.next() } } }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(Set(ids).count == 16_000)
  }
}

struct TimestampTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    (951_782_400_000, "2000-02-29T00:00:00.000Z"), (1_709_251_199_042, "2024-02-29T23:59:59.042Z"),
    (1_772_323_199_042, "2026-02-28T23:59:59.042Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    (Int64.max, "9999-12-31T23:59:59.999Z"), (Int64.min, "0000-01-01T00:00:00.000Z"),
  ])
  func isRFC3339(milliseconds: Int64, text: String) {
    #expect(Timestamp.text(milliseconds: milliseconds) == text)
  }
}
