// __NAME__: an engine of the kind audio_stt. It says how long a WAV file is, a second at a time: put your recogniser there.
import Glibc
import PluginProtocol
import Synchronization

final class Listener: Engine {
  let information = EngineInformation(name: "__NAME__", version: "0.1.0")
  private let pace = Mutex(Duration.milliseconds(20))

  /// plugin.yaml declares `pace`, and the operator sets it.
  func initialize(_ parameters: InitializeParameters) async throws -> [String]? {
    if let milliseconds = parameters.config["pace"]?.int { pace.withLock { $0 = .milliseconds(milliseconds) } }
    return nil
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    guard let duration = seconds(try job.requiredInput("inputUrl").path) else {
      throw EngineError(.badInput, "task.inputUrl is no WAV file, and this engine reads no other.")
    }
    var segments: [JSONValue] = []
    var texts: [String] = []
    while Double(segments.count) < duration {
      try await Task.sleep(for: pace.withLock { $0 })
      let (start, end) = (Double(segments.count), min(Double(segments.count + 1), duration))
      texts.append("second \(segments.count + 1)")
      let segment: JSONValue = ["start": .double(start), "end": .double(end), "text": JSONValue(texts.last)]
      try await job.chunk(data: segment)  // waits for credit; throws when the job was cancelled
      segments.append(segment)
      job.progress(fraction: end / duration, stage: "listening")
    }
    return JobRunResult(
      output: [
        "text": .string(texts.joined(separator: ", ")), "language": "en", "duration": .double(duration),
        "segments": .array(segments),
      ], usage: ["audioSeconds": .double(duration)])
  }

  /// Of a WAV file of plain samples, from its first 44 bytes and its size; nil when it is none.
  private func seconds(_ path: String) -> Double? {
    var head = [UInt8](repeating: 0, count: 44)
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    guard fread(&head, 1, 44, file) == 44, Array("RIFF".utf8) == Array(head[0..<4]),
      Array("WAVE".utf8) == Array(head[8..<12]), fseek(file, 0, SEEK_END) == 0
    else { return nil }
    let bytesPerSecond = head[28..<32].reversed().reduce(0.0) { $0 * 256 + Double($1) }
    return bytesPerSecond > 0 ? Double(ftell(file) - 44) / bytesPerSecond : nil
  }
}

@main struct Main {
  static func main() async { await EngineMain.run(Listener()) }
}
