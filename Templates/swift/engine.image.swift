// __NAME__: an engine of the kind image. It draws stripes whose colours come from the prompt: put your model there.
import Glibc
import PluginProtocol
import Synchronization

final class Painter: Engine {
  let information = EngineInformation(name: "__NAME__", version: "0.1.0")
  private let pace = Mutex(Duration.milliseconds(20))

  /// plugin.yaml declares `pace`, and the operator sets it.
  func initialize(_ parameters: InitializeParameters) async throws -> [String]? {
    if let milliseconds = parameters.config["pace"]?.int { pace.withLock { $0 = .milliseconds(milliseconds) } }
    return nil
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    let task = try job.taskFields()
    let prompt = Array(try task.requiredString("prompt").utf8) + [0]
    let (width, height) = (try task.int("width") ?? 64, try task.int("height") ?? 64)
    guard (16...1024).contains(width), (16...1024).contains(height) else {
      throw EngineError(.badInput, "task.width and task.height must be from 16 to 1024.")
    }
    guard try task.string("ext") ?? "png" == "png" else {
      throw EngineError(.unsupported, "This engine makes png; ask for that, or leave the format out.")
    }
    var rows: [[UInt8]] = []
    for y in 0..<height {
      let letter = prompt[y * (prompt.count - 1) / height]
      let pixel = [letter &* 3, letter &* 8, letter &* 13]
      rows.append([0] + Array(repeating: pixel, count: width).joined())
      guard y % 8 == 0 else { continue }
      try await Task.sleep(for: pace.withLock { $0 })
      try job.checkCancelled()
      job.progress(fraction: Double(y) / Double(height), stage: "drawing")
    }
    let artifact = try write(png(rows, width, height), "image.png", "image/png", job)
    return JobRunResult(
      output: ["ext": "png", "width": JSONValue(width), "height": JSONValue(height)], artifacts: [artifact])
  }

  /// A PNG file, not compressed. Each of the rows is a 0 and `width` pixels of three bytes.
  private func png(_ rows: [[UInt8]], _ width: Int, _ height: Int) -> [UInt8] {
    var data: [UInt8] = [0x78, 0x01]
    var (low, high) = (UInt32(1), UInt32(0))
    for (y, row) in rows.enumerated() {  // a stored block for each row: zlib's format, RFC 1950 and 1951
      let count = UInt16(row.count)
      data.append(y + 1 == rows.count ? 1 : 0)
      for half in [count, ~count] { data += [UInt8(half & 255), UInt8(half >> 8)] }
      data += row
      for byte in row {
        low = (low + UInt32(byte)) % 65521
        high = (high + low) % 65521
      }
    }
    data += big(high << 16 | low)
    let head = big(UInt32(width)) + big(UInt32(height)) + [8, 2, 0, 0, 0]
    return [0x89] + Array("PNG\r\n\u{1A}\n".utf8) + part("IHDR", head) + part("IDAT", data) + part("IEND", [])
  }

  /// One chunk of a PNG file, with its CRC-32.
  private func part(_ name: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(name.utf8) + data
    var sum = UInt32.max
    for byte in body {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
    return big(UInt32(data.count)) + body + big(~sum)
  }

  private func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
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
  static func main() async { await EngineMain.run(Painter()) }
}
