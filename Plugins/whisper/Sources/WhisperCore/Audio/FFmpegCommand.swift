public import PluginProtocol

/// How the `ffmpeg` command is asked for the sound of one file, and what its words mean.
public enum FFmpegCommand {
  /// Containers that ffmpeg may look for. Its other readers are playlists, device grabbers and scripts, which lead to
  /// further files.
  private static let containers = [
    "aac", "ac3", "aiff", "alac", "amr", "ape", "asf", "au", "avi", "caf", "dts", "eac3", "flac", "flv",
    "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "mxf", "ogg", "rm", "spx",
    "tta",
    "voc", "w64", "wav", "wv",
  ]

  /// The arguments: mono 32-bit floats of `sampleRate` on stdout, its log on stderr.
  ///
  /// - Parameter seconds: no more than so much sound is decoded.
  public static func arguments(path: String, sampleRate: Int, seconds: Int) -> [String] {
    [
      "-nostdin", "-hide_banner", "-nostats", "-loglevel", "info",
      // One allocation; the tables of a hostile file would take what they like.
      "-max_alloc", String(256 << 20), "-threads", "1",
      "-protocol_whitelist", "file", "-format_whitelist", containers.joined(separator: ","),
      "-i", "file:\(path)", "-map", "0:a:0", "-t", String(seconds), "-ac", "1", "-ar", String(sampleRate),
      "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1",
    ]
  }

  /// The length that ffmpeg's log names for its input, in seconds below 10⁹: `  Duration: 00:00:11.00, start: ...`.
  ///
  /// Only that line begins with exactly two spaces. The recording's tags, which may say anything, stand further in.
  public static func duration(in log: String) -> Double? {
    let mark = "  Duration: "
    for line in log.split(separator: "\n") where line.hasPrefix(mark) {
      guard let comma = line.firstIndex(of: ",") else { continue }
      let parts = line[..<comma].dropFirst(mark.count).split(separator: ":").map { Double($0) }
      guard parts.count == 3, let hours = parts[0], let minutes = parts[1], let seconds = parts[2] else { continue }
      let total = hours * 3600 + minutes * 60 + seconds
      if 0..<1e9 ~= total { return total }
    }
    return nil
  }

  /// What went wrong, from the exit status and the end of the log.
  ///
  /// - Parameters:
  ///   - status: the exit status, or nil when a signal ended it.
  ///   - seconds: how much sound had come by then.
  public static func failure(status: Int32?, signal: Int32, log: String, path: String, seconds: Double) -> EngineError {
    let lines = log.split(separator: "\n").map { $0.replacing("file:\(path)", with: "input") }
    let last = lines.last { !$0.allSatisfy { $0 == " " } }.map { String($0.prefix(200)) } ?? ""
    let evidence = lines.suffix(20).joined(separator: "\n")
    guard status != nil else {
      // SIGKILL comes from whoever ran out of memory.
      return EngineError(
        signal == 9 ? .resource : .engineFault, "ffmpeg was ended by signal \(signal) while it decoded the input.",
        evidence: evidence)
    }
    if log.contains("matches no streams") {
      return EngineError(.badInput, "The input has no sound: send a recording with an audio track.", evidence: evidence)
    }
    if log.contains("Cannot allocate memory") {
      return EngineError(.resource, "ffmpeg ran out of memory while it decoded the input.", evidence: evidence)
    }
    let problem =
      seconds > 0 ? "The input breaks off after \(Int(seconds)) s" : "The input is no audio that ffmpeg reads"
    return EngineError(.badInput, "\(problem): \(last)", evidence: evidence)
  }
}
