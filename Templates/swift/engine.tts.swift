// __NAME__: an engine of the kind audio_tts. It gives a tone for each word: put your voice there.
import Glibc
import PluginProtocol
import Synchronization

final class Singer: Engine {
  let information = EngineInformation(name: "__NAME__", version: "0.1.0")
  private static let rate = 16_000
  private let pace = Mutex(Duration.milliseconds(20))

  /// plugin.yaml declares `pace`, and the operator sets it.
  func initialize(_ parameters: InitializeParameters) async throws -> [String]? {
    if let milliseconds = parameters.config["pace"]?.int { pace.withLock { $0 = .milliseconds(milliseconds) } }
    return nil
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    let task = try job.taskFields()
    let words = try task.requiredString("text").split(whereSeparator: \.isWhitespace)
    guard !words.isEmpty else { throw EngineError(.badInput, "task.text has no words.") }
    let speed = try task.double("speed") ?? 1
    guard (0.25...4).contains(speed) else { throw EngineError(.badInput, "task.speed must be from 0.25 to 4.") }
    guard try task.string("ext") ?? "wav" == "wav" else {
      throw EngineError(.unsupported, "This engine makes wav; ask for that, or leave the format out.")
    }
    var samples: [UInt8] = []
    for (index, word) in words.enumerated() {
      try await Task.sleep(for: pace.withLock { $0 })
      let piece = tone(letters: word.count, speed: speed)
      try await job.chunk(data: .string(base64(piece)))  // waits for credit; throws when the job was cancelled
      samples += piece
      job.progress(fraction: Double(index + 1) / Double(words.count), stage: "speaking")
    }
    let artifact = try write(wav(samples), "speech.wav", "audio/wav", job)
    let duration = Double(samples.count / 2) / Double(Singer.rate)
    return JobRunResult(
      output: ["ext": "wav", "duration": .double(duration), "sampleRate": JSONValue(Singer.rate), "channels": 1],
      artifacts: [artifact])
  }

  /// Mono samples of 16 bits: the longer the word the deeper the tone; it ends in silence.
  private func tone(letters: Int, speed: Double) -> [UInt8] {
    let count = Int(Double(Singer.rate) / 5 / speed)
    let step = 2 * Double.pi * 880 / Double(letters) / Double(Singer.rate)
    return (0..<count).flatMap { index in
      let height = index * 4 > count * 3 ? 0 : Int16(8000 * sin(Double(index) * step))
      return withUnsafeBytes(of: height.littleEndian) { Array($0) }
    }
  }

  private func wav(_ samples: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { out += Array($0) } }
    out += Array("RIFF".utf8)
    append(UInt32(36 + samples.count))
    out += Array("WAVEfmt ".utf8)
    append(UInt32(16))
    append(UInt16(1))
    append(UInt16(1))
    append(UInt32(Singer.rate))
    append(UInt32(2 * Singer.rate))
    append(UInt16(2))
    append(UInt16(16))
    out += Array("data".utf8)
    append(UInt32(samples.count))
    return out + samples
  }

  private func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var out: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let three = bytes[start..<min(start + 3, bytes.count)]
      let word = three.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - three.count))
      let four = [18, 12, 6, 0].map { digits[word >> $0 & 63] }
      out += four.prefix(three.count + 1) + Array(repeating: UInt8(ascii: "="), count: 3 - three.count)
    }
    return String(decoding: out, as: UTF8.self)
  }
}

/// Writes a file of the result and declares it.
func write(_ bytes: [UInt8], _ name: String, _ type: String, _ job: EngineJob) throws -> ArtifactDeclaration {
  let file = fopen("\(job.workDirectory)/\(name)", "wb")
  let written = file.map { fwrite(bytes, 1, bytes.count, $0) }
  guard let file, fclose(file) == 0, written == bytes.count else {
    throw EngineError(.resource, "Cannot write \(name): \(String(cString: strerror(errno))).")
  }
  return ArtifactDeclaration(name: name, contentType: type, bytes: UInt64(bytes.count))
}

@main struct Main {
  static func main() async { await EngineMain.run(Singer()) }
}
