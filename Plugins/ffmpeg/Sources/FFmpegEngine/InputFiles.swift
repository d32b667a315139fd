import FFmpegTasks
import Glibc
import PluginProtocol

/// Finds a job's inputs, which the host has put into the work directory, and looks at their first bytes.
struct InputFiles {
  var workDirectory: String
  var settings: Settings

  /// A still image whose size is known and within bounds.
  func image(_ url: String, name: String) throws -> MediaInput {
    try open(url, name: name) { file in
      guard let format = MediaFormat(prefix: try file.read(0, MediaFormat.prefixBytes)), format.isImage else {
        throw EngineError(
          .badInput, "the file of \(name) is no image that is read here: send \(MediaFormat.imageNames)")
      }
      return MediaInput(path: file.path, format: format, size: try size(format, file, name))
    }
  }

  /// Sound or video; its streams are not looked at yet.
  func media(_ url: String, name: String) throws -> MediaInput {
    try open(url, name: name) { file in
      guard let format = MediaFormat(prefix: try file.read(0, MediaFormat.prefixBytes)) else {
        throw EngineError(
          .badInput, "the file of \(name) is no sound or video that is read here: send \(MediaFormat.mediaNames)")
      }
      guard format.isMedia else {
        throw EngineError(
          .badInput, "the file of \(name) is a still image: send sound or video, or use \(MediaModel.kenBurns.rawValue)"
        )
      }
      return MediaInput(
        path: file.path, format: format, size: format == .gif ? try size(format, file, name) : nil)
    }
  }

  private func size(_ format: MediaFormat, _ file: OpenFile, _ name: String) throws -> PixelSize {
    let size = try ImageHeader.size(format, read: file.read)
    // Each side first: their product must not overflow.
    let longest = 65_536
    guard size.width <= longest, size.height <= longest, size.pixels <= settings.maxInputPixels else {
      throw EngineError(
        .badInput,
        "the image of \(name) has \(size) pixels; width times height must be at most \(settings.maxInputPixels)")
    }
    return size
  }

  private func open<T>(_ url: String, name: String, _ body: (OpenFile) throws -> T) throws -> T {
    let path = try FileURL.path(url, name: name)
    guard let real = Self.resolve(path) else {
      throw EngineError(.badInput, "the file of \(name) cannot be opened: \(String(cString: strerror(errno)))")
    }
    guard let directory = Self.resolve(workDirectory), real.hasPrefix("\(directory)/") else {
      throw EngineError(.badInput, "the file of \(name) is not in the job's work directory, where the host puts inputs")
    }
    // Not blocking: a FIFO would make the open wait for a writer.
    let descriptor = Glibc.open(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw EngineError(.badInput, "the file of \(name) cannot be opened: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
      throw EngineError(.badInput, "the file of \(name) is not a regular file")
    }
    guard information.st_size > 0 else { throw EngineError(.badInput, "the file of \(name) is empty") }
    return try body(OpenFile(path: real, descriptor: descriptor))
  }

  private static func resolve(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(validatingCString: real)
  }

  /// Valid inside `open` only.
  private struct OpenFile {
    var path: String
    var descriptor: CInt

    func read(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
      guard let position = off_t(exactly: offset) else { return [] }
      var bytes = [UInt8](repeating: 0, count: count)
      let got = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, count, position) }
      guard got >= 0 else {
        throw EngineError(.transient, "an input cannot be read: \(String(cString: strerror(errno)))")
      }
      return Array(bytes.prefix(got))
    }
  }
}
