import Glibc
import PluginProtocol

/// One second of a sine whose pitch comes from the text: 22,050 Hz, mono, 16 bit, as a WAV file.
struct Tone: Sendable {
  static let sampleRate = 22_050

  /// Whole hertz from 220 to 879, so that the second holds whole periods.
  private let frequency: Int

  init(_ fields: FieldReader) throws {
    _ = try Format.read(fields, known: ["wav"])
    let print = Fingerprint(of: [try fields.requiredString("text")]).bytes
    frequency = 220 + (Int(print[0]) << 8 | Int(print[1])) % 660
  }

  func result(in directory: String) throws -> JobRunResult {
    let artifact = try ArtifactFile.write(wav, name: "speech.wav", contentType: "audio/wav", in: directory)
    return JobRunResult(
      output: [
        "ext": "wav", "duration": 1.0, "sampleRate": JSONValue(Tone.sampleRate), "channels": 1,
      ], artifacts: [artifact], usage: ["audioSeconds": 1.0])
  }

  /// A RIFF header of 44 bytes and the samples.
  private var wav: [UInt8] {
    let dataBytes = UInt32(Tone.sampleRate * 2)
    var out: [UInt8] = []
    out.reserveCapacity(44 + Int(dataBytes))
    func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { out += Array($0) } }
    out += Array("RIFF".utf8)
    append(36 + dataBytes)
    out += Array("WAVEfmt ".utf8)
    append(UInt32(16))
    append(UInt16(1))  // PCM
    append(UInt16(1))  // channels
    append(UInt32(Tone.sampleRate))
    append(UInt32(Tone.sampleRate * 2))  // bytes a second
    append(UInt16(2))  // bytes a frame
    append(UInt16(16))  // bits a sample
    out += Array("data".utf8)
    append(dataBytes)
    for index in 0..<Tone.sampleRate {
      let phase = Double(index * frequency % Tone.sampleRate) / Double(Tone.sampleRate)
      append(Int16((sin(2 * .pi * phase) * 16_000).rounded()))
    }
    return out
  }
}
