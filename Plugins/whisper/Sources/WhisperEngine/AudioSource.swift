import Glibc
import PluginProtocol
import WhisperCore

/// Samples a second that whisper takes, on one channel.
let whisperRate = 16_000

/// A recording as whisper takes it, decoded while it is read.
protocol AudioSource: AnyObject {
  /// Seconds of the whole recording, as far as they are known before its end.
  var expectedSeconds: Double? { get }

  /// Seconds of the recording that have been decoded; all of it after the end.
  var secondsRead: Double { get }

  /// Appends samples until the buffer has `count`, or the recording ends.
  ///
  /// - Returns: false when nothing follows.
  /// - Throws: `EngineError`: `bad_input` for what is not sound, `cancelled` when the job is.
  func fill(_ buffer: inout [Float], to count: Int) throws -> Bool

  /// Gives back descriptors and processes. Harmless at any time.
  func close()
}

/// Finds out what a file is and who decodes it: this engine itself for WAV, the `ffmpeg` command for the rest.
///
/// - Throws: `EngineError`: `bad_input` for what is no recording, `unsupported` for one that needs a missing ffmpeg.
func openAudio(path: String, maxSeconds: Int, job: EngineJob) throws -> any AudioSource {
  let name = path.split(separator: "/").last.map(String.init) ?? path
  let file = try OpenFile(path: path)
  guard file.size > 0 else { throw EngineError(.badInput, "The input \(name) is empty: send a recording.") }
  switch try WAVLayout.find(fileBytes: file.size, read: file.read) {
  case .layout(let layout):
    guard layout.frames > 0 else { throw EngineError(.badInput, "The WAV file holds no samples: send a recording.") }
    guard layout.seconds <= Double(maxSeconds) else { throw tooLong(layout.seconds, maxSeconds) }
    return WAVSource(file, layout, job: job)
  case .other(let kind):
    guard let command = FFmpegSource.command() else {
      throw EngineError(
        .unsupported,
        "The input is \(kind), and without the ffmpeg command only WAV with linear PCM can be read: "
          + "install ffmpeg on this machine, or send WAV.")
    }
    return try FFmpegSource(command: command, path: path, maxSeconds: maxSeconds, job: job)
  }
}

func tooLong(_ seconds: Double, _ maxSeconds: Int) -> EngineError {
  // What a file claims need not fit into an Int.
  let minutes = Int(max(0, min(1e9, seconds)) / 60)
  return EngineError(
    .badInput,
    "The recording lasts \(minutes) minutes and \(maxSeconds / 60) are allowed: cut it, "
      + "or raise maxAudioMinutes in the plugin's configuration.")
}

/// A regular file, open for reading. Closed when the last reference goes.
final class OpenFile {
  private let descriptor: CInt
  let size: Int

  init(path: String) throws(EngineError) {
    // Non-blocking, so that a FIFO in place of the recording cannot hang the engine.
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw EngineError(.badInput, "The input cannot be opened: \(String(cString: strerror(errno))).")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      Glibc.close(descriptor)
      throw EngineError(.badInput, "The input is not a regular file: send a recording.")
    }
    size = Int(status.st_size)
  }

  deinit { Glibc.close(descriptor) }

  /// Up to `count` bytes at an offset; fewer at the end of the file.
  func read(_ offset: Int, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let read = try bytes.withUnsafeMutableBytes { try self.read(into: $0, at: offset) }
    bytes.removeLast(count - read)
    return bytes
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = pread(
        descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, off_t(offset + filled))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw EngineError(.engineFault, "The input cannot be read: \(String(cString: strerror(errno))).")
      }
      guard count > 0 else { break }
      filled += count
    }
    return filled
  }
}
