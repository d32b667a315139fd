import Glibc
import Testing
import WhisperCore

@Suite("Resampling")
struct ResamplerTests {
  private static func tone(_ hertz: Double, rate: Int, seconds: Double) -> [Float] {
    (0..<Int(seconds * Double(rate))).map { Float(sin(2 * Double.pi * hertz * Double($0) / Double(rate))) }
  }

  private static func resample(_ samples: [Float], from rate: Int, piece: Int = 1000) -> [Float] {
    var resampler = Resampler(from: rate, to: 16_000)
    var result: [Float] = []
    var start = 0
    while start < samples.count {
      let end = min(start + piece, samples.count)
      samples.withUnsafeBufferPointer { resampler.feed(UnsafeBufferPointer(rebasing: $0[start..<end]), into: &result) }
      start = end
    }
    resampler.finish(into: &result)
    return result
  }

  /// The greatest value away from the ends, where the filter sees the silence around.
  private static func peak(_ samples: [Float]) -> Float {
    samples.dropFirst(2000).dropLast(2000).map(abs).max() ?? 0
  }

  @Test(
    "a tone comes out as the same tone", arguments: [8000, 11_025, 22_050, 44_100, 44_101, 48_000, 96_000, 384_000])
  func toneStays(rate: Int) {
    let hertz = 1000.0
    let result = Self.resample(Self.tone(hertz, rate: rate, seconds: 1), from: rate)
    #expect(abs(result.count - 16_000) <= 1)
    let expected = Self.tone(hertz, rate: 16_000, seconds: 1)
    let errors = zip(result, expected).map { $0 - $1 }
    // 70 dB below the tone.
    #expect(Self.peak(errors) < 0.0003, "the greatest error is \(Self.peak(errors))")
  }

  @Test("what the new rate cannot carry is taken out", arguments: [22_050, 44_100, 48_000])
  func aliasesAreDamped(rate: Int) {
    let result = Self.resample(Self.tone(9500, rate: rate, seconds: 1), from: rate)
    #expect(Self.peak(result) < 0.0003, "\(Self.peak(result)) is left")
  }

  @Test("the pieces do not matter", arguments: [1, 7, 160, 44_100])
  func piecesDoNotMatter(piece: Int) {
    let samples = Self.tone(440, rate: 44_100, seconds: 0.2)
    #expect(Self.resample(samples, from: 44_100, piece: piece) == Self.resample(samples, from: 44_100))
  }

  @Test("a constant stays what it is, and nothing gives nothing")
  func constant() {
    let result = Self.resample([Float](repeating: 0.5, count: 44_100), from: 44_100)
    #expect(result.dropFirst(2000).dropLast(2000).allSatisfy { abs($0 - 0.5) < 1e-5 })
    #expect(Self.resample([], from: 44_100).isEmpty)
    #expect(Self.resample([1], from: 48_000).count == 1)
  }
}
