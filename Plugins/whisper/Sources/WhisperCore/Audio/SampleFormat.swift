/// How one sample of a WAV file is written. Integers are little-endian; 8-bit ones are unsigned.
public enum SampleFormat: Equatable, Sendable {
  case unsigned8, signed16, signed24, signed32, float32, float64

  public var bytes: Int {
    switch self {
    case .unsigned8: 1
    case .signed16: 2
    case .signed24: 3
    case .signed32, .float32: 4
    case .float64: 8
    }
  }

  /// Louder is not speech but a damaged file: four times full scale.
  private static let loudest: Float = 4

  /// Appends the mean of each frame's channels, nominally -1...1; what is not a number becomes silence.
  ///
  /// - Parameter frames: whole frames; a rest that is not one is left out.
  public func appendMono(_ frames: UnsafeRawBufferPointer, channels: Int, to samples: inout [Float]) {
    let frameBytes = bytes * channels
    let count = frames.count / frameBytes
    samples.reserveCapacity(samples.count + count)
    switch self {
    case .unsigned8:
      Self.mix(count, channels, &samples) { (Float(frames[$0]) - 128) / 128 }
    case .signed16:
      Self.mix(count, channels, &samples) {
        Float(Int16(littleEndian: frames.loadUnaligned(fromByteOffset: $0 * 2, as: Int16.self))) / 32_768
      }
    case .signed24:
      Self.mix(count, channels, &samples) { index in
        let at = index * 3
        // In the upper three bytes, so that the sign comes along.
        let value = UInt32(frames[at]) << 8 | UInt32(frames[at + 1]) << 16 | UInt32(frames[at + 2]) << 24
        return Float(Int32(bitPattern: value)) / 2_147_483_648
      }
    case .signed32:
      Self.mix(count, channels, &samples) {
        Float(Int32(littleEndian: frames.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self))) / 2_147_483_648
      }
    case .float32:
      Self.mix(count, channels, &samples) {
        Self.sane(
          Float(bitPattern: UInt32(littleEndian: frames.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))))
      }
    case .float64:
      Self.mix(count, channels, &samples) {
        Self.sane(
          Float(Double(bitPattern: UInt64(littleEndian: frames.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self))))
        )
      }
    }
  }

  /// `value` gives the sample with a running number.
  private static func mix(_ frames: Int, _ channels: Int, _ samples: inout [Float], value: (Int) -> Float) {
    if channels == 1 {
      for frame in 0..<frames { samples.append(value(frame)) }
      return
    }
    let share = 1 / Float(channels)
    for frame in 0..<frames {
      var sum: Float = 0
      for channel in 0..<channels { sum += value(frame * channels + channel) }
      samples.append(sum * share)
    }
  }

  /// A sample that whisper can compute with.
  public static func sane(_ value: Float) -> Float {
    value.isFinite ? min(max(value, -loudest), loudest) : 0
  }
}
