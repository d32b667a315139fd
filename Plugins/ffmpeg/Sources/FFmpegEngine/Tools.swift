import Glibc
import PluginProtocol

/// Where the two commands are. Looked up for each job, so that installing them needs no restart.
struct Tools: Sendable {
  var ffmpeg: String
  var ffprobe: String

  private static let advice = "install ffmpeg (apt-get install ffmpeg), or set ffmpegPath in the plugin's configuration"

  /// - Parameter configured: the path of ffmpeg; nil looks in PATH. ffprobe is the one beside it, else the one in PATH.
  /// - Throws: `unsupported` with what to do when one is missing.
  static func find(_ configured: String?) throws -> Tools {
    guard let ffmpeg = configured ?? inPath("ffmpeg"), isProgram(ffmpeg) else {
      let place = configured.map { "is not at \($0)" } ?? "is not in PATH"
      throw EngineError(.unsupported, "the ffmpeg command \(place): \(advice)")
    }
    let directory = ffmpeg.lastIndex(of: "/").map { ffmpeg[..<$0] } ?? ""
    guard let ffprobe = ["\(directory)/ffprobe", inPath("ffprobe")].compactMap({ $0 }).first(where: isProgram) else {
      throw EngineError(.unsupported, "ffprobe is missing beside \(ffmpeg) and in PATH: \(advice)")
    }
    return Tools(ffmpeg: ffmpeg, ffprobe: ffprobe)
  }

  private static func inPath(_ name: String) -> String? {
    guard let path = getenv("PATH") else { return nil }
    return String(cString: path).split(separator: ":").map { "\($0)/\(name)" }.first {
      $0.hasPrefix("/") && isProgram($0)
    }
  }

  private static func isProgram(_ path: String) -> Bool {
    var information = stat()
    return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
  }
}
