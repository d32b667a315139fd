import PluginProtocol

/// Where the samples of a WAV file lie and how they are written.
///
/// Reads RIFF files with linear PCM of 8, 16, 24 or 32 bits or floats of 32 or 64 bits, plain or with the extensible
/// header (Microsoft, "Multiple Channel Audio Data and WAVE Files"). Sizes in the file are believed only inside of it.
public struct WAVLayout: Equatable, Sendable {
  public var format: SampleFormat
  public var channels: Int
  /// Frames a second.
  public var sampleRate: Int
  /// Where the first frame begins.
  public var dataOffset: Int
  /// Whole frames in the file.
  public var frames: Int

  public init(format: SampleFormat, channels: Int, sampleRate: Int, dataOffset: Int, frames: Int) {
    self.format = format
    self.channels = channels
    self.sampleRate = sampleRate
    self.dataOffset = dataOffset
    self.frames = frames
  }

  public var frameBytes: Int { format.bytes * channels }
  public var seconds: Double { Double(frames) / Double(sampleRate) }

  /// What a file turned out to be.
  public enum Finding: Equatable, Sendable {
    case layout(WAVLayout)
    /// Not a WAV file, or a codec that this reader leaves to others; the text names it.
    case other(String)
  }

  public static let channelRange = 1...64
  public static let rateRange = 1000...768_000
  /// A file with more chunks before its samples is not a recording.
  static let chunkLimit = 1000
  /// Programs that write to a pipe put a greatest number in place of the size they cannot know.
  static let unknownSize = 0x7FFF_F000

  /// Reads the header.
  ///
  /// - Parameters:
  ///   - fileBytes: the file's size.
  ///   - read: up to so many bytes (second) at an offset (first); fewer at the end of the file.
  /// - Throws: `EngineError(.badInput)` for a WAV file that is truncated, contradicts itself or is out of range.
  public static func find(fileBytes: Int, read: (Int, Int) throws -> [UInt8]) throws -> Finding {
    let head = try read(0, 12)
    guard head.count == 12, head[..<4].elementsEqual("RIFF".utf8), head[8...].elementsEqual("WAVE".utf8) else {
      return .other("not WAV")
    }
    var offset = 12
    var form: Form?
    for _ in 0..<chunkLimit {
      let header = try read(offset, 8)
      guard header.count == 8 else { throw wrong("it ends before its samples begin") }
      let size = Int(number(header, 4, bytes: 4))
      offset += 8
      if header[..<4].elementsEqual("fmt ".utf8) {
        form = Form(try read(offset, min(size, 40)))
      } else if header[..<4].elementsEqual("data".utf8) {
        guard let form else { throw wrong("its samples come before their description") }
        return try form.finding(dataOffset: offset, claimed: size, available: fileBytes - offset)
      }
      // Chunks are padded to an even size.
      let next = offset.addingReportingOverflow(size + size % 2)
      guard !next.overflow, next.partialValue <= fileBytes else { throw wrong("it ends before its samples begin") }
      offset = next.partialValue
    }
    throw wrong("it has more than \(chunkLimit) chunks before its samples")
  }

  fileprivate static func wrong(_ problem: String) -> EngineError {
    EngineError(.badInput, "The WAV file is broken: \(problem). Export the recording again.")
  }

  fileprivate static func number(_ bytes: [UInt8], _ offset: Int, bytes count: Int) -> UInt32 {
    (0..<count).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * $1) }
  }

  /// The `fmt ` chunk.
  private struct Form {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func finding(dataOffset: Int, claimed: Int, available: Int) throws -> Finding {
      guard bytes.count >= 16 else { throw wrong("the description of its samples is too short") }
      var tag = number(bytes, 0, bytes: 2)
      let channels = Int(number(bytes, 2, bytes: 2))
      let rate = Int(number(bytes, 4, bytes: 4))
      let align = Int(number(bytes, 12, bytes: 2))
      let bits = Int(number(bytes, 14, bytes: 2))
      if tag == 0xFFFE {
        guard bytes.count >= 40 else { throw wrong("the description of its samples is too short") }
        // The first two bytes of the sub-format's GUID are the tag again.
        tag = number(bytes, 24, bytes: 2)
      }
      guard let format = Self.format(tag: tag, bits: bits) else {
        return .other("WAV with codec 0x\(String(tag, radix: 16)) of \(bits) bits")
      }
      guard channelRange.contains(channels) else { throw wrong("it claims \(channels) channels") }
      guard rateRange.contains(rate) else { throw wrong("it claims \(rate) samples a second") }
      let frameBytes = format.bytes * channels
      guard align == frameBytes else {
        throw wrong("its frames claim \(align) bytes where \(channels) channels of \(bits) bits are \(frameBytes)")
      }
      let isOpen = claimed >= unknownSize || (claimed == 0 && available > 0)
      guard isOpen || claimed <= available else {
        throw EngineError(
          .badInput,
          "The WAV file is truncated: it claims \(claimed) bytes of samples and has \(available). Send the whole file.")
      }
      let bytes = isOpen ? available : claimed
      return .layout(
        WAVLayout(
          format: format, channels: channels, sampleRate: rate, dataOffset: dataOffset, frames: bytes / frameBytes))
    }

    private static func format(tag: UInt32, bits: Int) -> SampleFormat? {
      switch (tag, bits) {
      case (1, 8): .unsigned8
      case (1, 16): .signed16
      case (1, 24): .signed24
      case (1, 32): .signed32
      case (3, 32): .float32
      case (3, 64): .float64
      default: nil
      }
    }
  }
}
