import Glibc
import PluginProtocol
import WhisperCore

/// Any other recording, decoded by the `ffmpeg` command while it is read: the pipe holds ffmpeg back.
final class FFmpegSource: AudioSource {
  /// How long a cancel can go unnoticed while ffmpeg is silent, in milliseconds.
  private static let pollMilliseconds: CInt = 50
  /// Bytes of ffmpeg's log that are kept: the beginning, where the length stands, and the end, where the error stands.
  private static let logHalf = 32 << 10

  private let path: String
  private let maxSeconds: Int
  private let job: EngineJob
  private let process: ChildProcess
  private var log: [UInt8] = []
  /// The bytes of a sample that has not come whole yet, 0 to 3.
  private var partial: [UInt8] = []
  private var samples = 0
  private var hasEnded = false
  private var duration: Double?
  private var piece = [UInt8](repeating: 0, count: 1 << 16)

  /// The command's path, found in PATH; nil when it is not installed.
  static func command() -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    return path.split(separator: ":").map { "\($0)/ffmpeg" }.first { access($0, X_OK) == 0 }
  }

  init(command: String, path: String, maxSeconds: Int, job: EngineJob) throws {
    self.path = path
    self.maxSeconds = maxSeconds
    self.job = job
    // A little more than is allowed, so that too much shows.
    let arguments = FFmpegCommand.arguments(path: path, sampleRate: whisperRate, seconds: maxSeconds + 1)
    process = try ChildProcess(command: command, arguments: arguments)
  }

  var expectedSeconds: Double? { duration }
  var secondsRead: Double { Double(samples) / Double(whisperRate) }

  func fill(_ buffer: inout [Float], to count: Int) throws -> Bool {
    while buffer.count < count, !hasEnded {
      try job.checkCancelled()
      let (hasOutput, hasLog) = process.wait(milliseconds: Self.pollMilliseconds)
      if hasLog { readLog() }
      if hasOutput { try readSound(into: &buffer) }
    }
    return !hasEnded
  }

  func close() { process.kill() }

  private func readLog() {
    let count = process.readLog(into: &piece)
    log += piece[..<count]
    if duration == nil { duration = FFmpegCommand.duration(in: String(decoding: log, as: UTF8.self)) }
    let excess = log.count - 2 * Self.logHalf
    if excess > 0 { log.removeSubrange(Self.logHalf..<(Self.logHalf + excess)) }
    if let duration, duration > Double(maxSeconds) + 1 { process.kill() }
  }

  private func readSound(into buffer: inout [Float]) throws {
    let count = process.readOutput(into: &piece)
    guard count > 0 else { return try end() }
    partial += piece[..<count]
    let whole = partial.count / 4
    partial.withUnsafeBytes { bytes in
      SampleFormat.float32.appendMono(
        UnsafeRawBufferPointer(rebasing: bytes[..<(whole * 4)]), channels: 1, to: &buffer)
    }
    partial.removeFirst(whole * 4)
    samples += whole
    guard samples <= maxSeconds * whisperRate else { throw tooLong(duration ?? Double(maxSeconds + 60), maxSeconds) }
  }

  private func end() throws {
    hasEnded = true
    while process.wait(milliseconds: 0).hasLog {
      let before = log.count
      readLog()
      if log.count == before { break }
    }
    if let duration, duration > Double(maxSeconds) + 1 { throw tooLong(duration, maxSeconds) }
    let (status, signal) = process.finish()
    guard status == 0 else {
      throw FFmpegCommand.failure(
        status: status, signal: signal, log: String(decoding: log, as: UTF8.self), path: path,
        seconds: Double(samples) / Double(whisperRate))
    }
    guard samples > 0 else { throw EngineError(.badInput, "The input holds no sound: send a recording.") }
  }
}
