// __NAME__: an engine of the kind video. It makes a GIF of a bar that fills: put your model there.
import Glibc
import PluginProtocol
import Synchronization

final class Animator: Engine {
  let information = EngineInformation(name: "__NAME__", version: "0.1.0")
  private let pace = Mutex(Duration.milliseconds(20))

  /// plugin.yaml declares `pace`, and the operator sets it.
  func initialize(_ parameters: InitializeParameters) async throws -> [String]? {
    if let milliseconds = parameters.config["pace"]?.int { pace.withLock { $0 = .milliseconds(milliseconds) } }
    return nil
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    let task = try job.taskFields()
    let first = Int(try task.requiredString("prompt").utf8.first ?? 0)
    let (width, height) = (try task.int("width") ?? 64, try task.int("height") ?? 64)
    let (seconds, fps) = (try task.double("seconds") ?? 2, try task.double("fps") ?? 10)
    guard (16...512).contains(width), (16...512).contains(height) else {
      throw EngineError(.badInput, "task.width and task.height must be from 16 to 512.")
    }
    guard (0.1...30).contains(seconds), (1...25).contains(fps) else {
      throw EngineError(.badInput, "task.seconds must be from 0.1 to 30, and task.fps from 1 to 25.")
    }
    guard try task.string("ext") ?? "gif" == "gif" else {
      throw EngineError(.unsupported, "This engine makes gif; ask for that, or leave the format out.")
    }
    let frames = max(1, Int(seconds * fps))
    var video = Array("GIF89a".utf8) + little(width) + little(height) + [0xF6, 0, 0]
    let bar = (0..<3).map { UInt8(64 + first * (3 + 7 * $0) % 192) }
    video += [16, 16, 16] + bar + Array(repeating: 0, count: 3 * 126)  // 128 colours, of which two are used
    for frame in 1...frames {
      try await Task.sleep(for: pace.withLock { $0 })
      try job.checkCancelled()
      video += picture(width, height, bar: width * frame / frames, hundredths: Int(100 / fps))
      job.progress(fraction: Double(frame) / Double(frames), stage: "drawing")
    }
    let artifact = try write(video + [0x3B], "video.gif", "image/gif", job)
    return JobRunResult(
      output: [
        "ext": "gif", "width": JSONValue(width), "height": JSONValue(height), "fps": .double(fps),
        "duration": .double(Double(frames) / fps), "frames": JSONValue(frames),
      ], artifacts: [artifact])
  }

  /// A frame of two colours, the bar's and the ground's. Its codes are bytes as long as each 125 pixels are followed by
  /// the code that clears the table, 0x80: GIF's format, not compressed.
  private func picture(_ width: Int, _ height: Int, bar: Int, hundredths: Int) -> [UInt8] {
    var out: [UInt8] = [0x21, 0xF9, 4, 0] + little(hundredths) + [0, 0, 0x2C, 0, 0, 0, 0]
    out += little(width) + little(height) + [0, 7]
    for start in stride(from: 0, to: width * height, by: 125) {
      let pixels = (start..<min(start + 125, width * height)).map { UInt8($0 % width < bar ? 1 : 0) }
      out += [UInt8(pixels.count + 1), 0x80] + pixels
    }
    return out + [1, 0x81, 0]
  }

  private func little(_ value: Int) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8 & 255)] }
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
  static func main() async { await EngineMain.run(Animator()) }
}
