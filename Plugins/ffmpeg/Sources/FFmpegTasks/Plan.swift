/// One run of the ffmpeg command.
package struct PlanStep: Equatable, Sendable {
  package var arguments: [String]
  /// A word for what goes on.
  package var stage: String
  /// Frames that the step makes, or nil when only its seconds are known.
  package var frames: Int?
  /// Seconds of result that the step makes, when known.
  package var seconds: Double?
  /// The step's part of the whole work; all together are 1.
  package var share: Double

  /// How far the step is, 0 to 1; nil when its length is not known.
  package func fraction(_ progress: ToolProgress) -> Double? {
    if let frames { return min(1, Double(progress.frame) / Double(max(1, frames))) }
    return seconds.map { min(1, progress.seconds / max($0, 0.001)) }
  }
}

/// All that is to be done for one job: pure data, run by the engine in a scratch directory.
package struct Plan: Equatable, Sendable {
  /// Small files that the steps read, by plain names that are chosen here.
  package var files: [String: [UInt8]] = [:]
  /// The font that the steps read as `Plan.fontName`.
  package var font: String?
  package var steps: [PlanStep]
  package var format: VideoFormat
  /// Nil when the result is sound alone.
  package var size: PixelSize?
  package var rate: FrameRate?
  /// Exact frames of the result, when they follow from the task.
  package var frames: Int?
  package var hasSound = false
  /// What was done, in words, for the result.
  package var method: String
  package var seed: UInt64?
  /// Remarks for the job's log.
  package var notes: [String] = []

  package static let fontName = "font"
}

/// The parts of a command line that every step has. Nothing in it is quoted: it is a list of arguments, no shell reads it.
struct CommandLine {
  var settings: Settings
  private(set) var arguments: [String]

  /// Progress four times a second on stdout, errors on stderr, no questions, no existing file touched.
  init(_ settings: Settings) {
    self.settings = settings
    let threads = String(settings.threads)
    arguments = [
      "-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-stats_period", "0.25", "-progress", "pipe:1",
      "-n", "-filter_threads", threads, "-filter_complex_threads", threads,
    ]
  }

  mutating func add(_ more: [String]) { arguments += more }
  mutating func add(_ more: String...) { arguments += more }

  /// The end: the result file, without anything in it that time, machine or input would leave.
  mutating func finish(_ format: VideoFormat, sound: Bool = false, picture: Bool = true) {
    if picture { add(format.videoArguments) }
    if sound { add(format.audioArguments) }
    add("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact")
    if picture { add("-flags:v", "+bitexact") }
    if sound { add("-flags:a", "+bitexact") }
    add("-threads", String(settings.threads), "-fs", String(settings.maxOutputBytes))
    add(format.containerArguments)
    add("file:\(format.fileName)")
  }
}

/// Pieces of filter chains. Only numbers and words of this program go in; text and names go by file.
enum Filter {
  /// The whole picture inside `size`, with black bars. `dar` is the picture's shape as it is meant to be seen.
  static func contain(_ size: PixelSize) -> String {
    let (width, height) = (size.width, size.height)
    let wide = "gte(dar*\(height),\(width))"
    return "scale=w='if(\(wide),\(width),max(2,2*round(\(height)*dar/2)))'"
      + ":h='if(\(wide),max(2,2*round(\(width)/dar/2)),\(height))'"
      + ",pad=\(width):\(height):(ow-iw)/2:(oh-ih)/2:color=black,setsar=1"
  }

  /// The middle of the picture, filling `size`. Cut before it is scaled: a picture of 60,000 by 1 must not grow.
  static func cover(_ size: PixelSize) -> String {
    let (width, height) = (size.width, size.height)
    return "crop=w='max(1,min(iw,ih*\(width)/\(height)))':h='max(1,min(ih,iw*\(height)/\(width)))':exact=1"
      + ",scale=\(width):\(height),setsar=1"
  }

  /// The first frame of what may be an animation, in a format whose sides may be odd.
  static let firstFrame = "trim=end_frame=1,format=rgb24"
}
