import PluginProtocol
import Testing
import WhisperCore

@Suite("WAV files")
struct WAVLayoutTests {
  private static func little(_ value: Int, _ bytes: Int) -> [UInt8] {
    (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  private static func form(
    tag: Int = 1, channels: Int = 1, rate: Int = 16_000, align: Int = 2, bits: Int = 16, extra: [UInt8] = []
  ) -> [UInt8] {
    little(tag, 2) + little(channels, 2) + little(rate, 4) + little(rate * align, 4) + little(align, 2)
      + little(bits, 2) + extra
  }

  private static func chunk(_ name: String, _ content: [UInt8], claimed: Int? = nil) -> [UInt8] {
    Array(name.utf8) + little(claimed ?? content.count, 4) + content + (content.count % 2 == 1 ? [0] : [])
  }

  private static func file(_ chunks: [UInt8]...) -> [UInt8] {
    let body = Array("WAVE".utf8) + chunks.flatMap { $0 }
    return Array("RIFF".utf8) + little(body.count, 4) + body
  }

  private static func find(_ file: [UInt8]) throws -> WAVLayout.Finding {
    try WAVLayout.find(fileBytes: file.count) { offset, count in
      Array(file.dropFirst(offset).prefix(count))
    }
  }

  private static func layout(_ file: [UInt8]) throws -> WAVLayout? {
    if case .layout(let layout) = try find(file) { layout } else { nil }
  }

  private static func problem(_ file: [UInt8]) -> String {
    let error = #expect(throws: EngineError.self) { try Self.find(file) }
    #expect(error?.failure == .badInput)
    return error?.message ?? ""
  }

  @Test("plain and extensible headers, other chunks between")
  func headers() throws {
    let samples = [UInt8](repeating: 1, count: 12)
    let plain = try Self.layout(Self.file(Self.chunk("fmt ", Self.form()), Self.chunk("data", samples)))
    #expect(plain == WAVLayout(format: .signed16, channels: 1, sampleRate: 16_000, dataOffset: 44, frames: 6))
    let extra =
      Self.little(22, 2) + Self.little(24, 2) + Self.little(3, 4) + Self.little(1, 2)
      + [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]
    let extensible = try Self.layout(
      Self.file(
        Self.chunk("LIST", [1, 2, 3]),
        Self.chunk("fmt ", Self.form(tag: 0xFFFE, channels: 2, rate: 48_000, align: 6, bits: 24, extra: extra)),
        Self.chunk("fact", [0, 0, 0, 0]), Self.chunk("data", samples)))
    #expect(extensible?.format == .signed24)
    #expect(extensible?.channels == 2)
    #expect(extensible?.frames == 2)
    #expect(extensible?.sampleRate == 48_000)
  }

  @Test("unknown sizes reach to the end, a partial frame is left out", arguments: [0xFFFF_FFFF, 0x7FFF_FFFF, 0])
  func openEnd(claimed: Int) throws {
    let data = Self.chunk("data", [UInt8](repeating: 1, count: 10), claimed: claimed)
    let layout = try Self.layout(Self.file(Self.chunk("fmt ", Self.form(channels: 2, align: 4)), data))
    #expect(layout?.frames == 2)
  }

  @Test("other files and codecs are left to others")
  func others() throws {
    for file in [[], Array("ID3".utf8), Array("RIFF0000AVI LIST".utf8), [UInt8](repeating: 0, count: 100)] {
      #expect(try Self.find(file) == .other("not WAV"))
    }
    let law = Self.file(Self.chunk("fmt ", Self.form(tag: 7, align: 1, bits: 8)), Self.chunk("data", [0]))
    #expect(try Self.find(law) == .other("WAV with codec 0x7 of 8 bits"))
  }

  @Test("broken files are refused by name")
  func broken() {
    let data = Self.chunk("data", [UInt8](repeating: 0, count: 1000))
    func with(_ form: [UInt8]) -> [UInt8] { Self.file(Self.chunk("fmt ", form), data) }
    #expect(Self.problem(Self.file(data)).contains("before their description"))
    #expect(Self.problem(with(Self.form().dropLast(4))).contains("too short"))
    #expect(Self.problem(with(Self.form(tag: 0xFFFE))).contains("too short"))
    #expect(Self.problem(with(Self.form(channels: 0, align: 0))).contains("0 channels"))
    #expect(Self.problem(with(Self.form(channels: 65_535, align: 65_534))).contains("65535 channels"))
    #expect(Self.problem(with(Self.form(rate: 0))).contains("0 samples a second"))
    #expect(Self.problem(with(Self.form(rate: 0xFFFF_FFFF))).contains("4294967295 samples a second"))
    #expect(Self.problem(with(Self.form(align: 3))).contains("claim 3 bytes"))
    let hours = Self.chunk("data", [UInt8](repeating: 0, count: 1000), claimed: 2 * 3600 * 32_000)
    let message = Self.problem(Self.file(Self.chunk("fmt ", Self.form()), hours))
    #expect(message.contains("230400000") && message.contains("has 1000"))
    let junk = (0..<2000).flatMap { _ in Self.chunk("junk", []) }
    #expect(Self.problem(Self.file(junk, data)).contains("chunks"))
    let beyond = Self.chunk("LIST", [], claimed: 0xFFFF_FFF0)
    #expect(Self.problem(Self.file(beyond, data)).contains("ends before"))
  }

  @Test("samples of every format mean the same")
  func formats() {
    func mono(_ format: SampleFormat, _ bytes: [UInt8], channels: Int = 1) -> [Float] {
      var samples: [Float] = []
      bytes.withUnsafeBytes { format.appendMono($0, channels: channels, to: &samples) }
      return samples
    }
    #expect(mono(.unsigned8, [0, 64, 128, 192]) == [-1, -0.5, 0, 0.5])
    #expect(mono(.signed16, [0, 0x80, 0, 0xC0, 0, 0, 0, 0x40]) == [-1, -0.5, 0, 0.5])
    #expect(mono(.signed24, [0, 0, 0x80, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0x40]) == [-1, -0.5, 0, 0.5])
    #expect(mono(.signed32, [0, 0, 0, 0x80, 0, 0, 0, 0x40]) == [-1, 0.5])
    let floats: [Float] = [0.5, .nan, .infinity, 1e30, -1e30]
    #expect(
      mono(.float32, floats.flatMap { Self.little(Int($0.bitPattern), 4) }) == [0.5, 0, 0, 4, -4])
    #expect(mono(.float64, Self.little(Int(truncatingIfNeeded: (-0.25).bitPattern), 8)) == [-0.25])
    #expect(mono(.signed16, [0, 0x40, 0, 0xC0, 0, 0x40, 0, 0x40, 9], channels: 2) == [0, 0.5])
  }
}
