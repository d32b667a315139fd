import PluginProtocol

/// Sound or video in another format.
package struct TranscodeRequest: Equatable, Sendable {
  package var inputURL: String
  var format: VideoFormat
  var width: Int?
  var height: Int?
  var fps: Double?
  var seconds: Double?

  /// Frames a second when neither task nor file names a usable rate.
  private static let standardFps = 25.0

  /// Reads the task: `inputUrl`, `ext`, and, each as in the input when absent, `width`, `height`, `fps`, `seconds`.
  package init(_ fields: FieldReader, _ settings: Settings) throws {
    inputURL = try fields.requiredString("inputUrl")
    format = try VideoFormat(fields)
    width = try Canvas.side(fields, "width")
    height = try Canvas.side(fields, "height")
    fps = try Canvas.fps(fields, settings, format)
    seconds = try Canvas.seconds(fields, most: settings.maxInputSeconds)
  }

  /// - Throws: `bad_input` when the file has nothing that the format can hold, or is over a bound.
  package func plan(_ input: MediaInput, _ probe: Probe, _ settings: Settings) throws -> Plan {
    try probe.check(settings, asked: seconds)
    let sound = format.hasSound ? probe.audio : nil
    guard probe.video != nil || sound != nil else {
      let missing = probe.audio == nil ? "neither sound nor moving pictures" : "no moving pictures, as \(format) needs"
      throw EngineError(.badInput, "the file of task.inputUrl has \(missing)")
    }
    var line = CommandLine(settings)
    line.add(input.inputArguments(settings))
    let size = try probe.video.map { try outputSize($0.size, settings) }
    let rate = probe.video.map { outputRate($0, settings) }
    if let video = probe.video, let size, let rate {
      line.add(
        "-filter_complex", "[0:\(video.index)]\(Filter.contain(size)),fps=\(rate),\(format.finish)[out]", "-map",
        "[out]")
    }
    if let sound { line.add("-map", "0:\(sound)", "-filter:a", VideoFormat.soundFilter) }
    line.add("-t", decimal(seconds ?? Double(settings.maxInputSeconds)))
    line.finish(format, sound: sound != nil, picture: probe.video != nil)
    let length = [seconds, probe.seconds].compactMap { $0 }.min()
    return Plan(
      steps: [PlanStep(arguments: line.arguments, stage: "transcode", seconds: length, share: 1)], format: format,
      size: size, rate: rate, hasSound: sound != nil, method: "ffmpeg: the input in another format, no model")
  }

  /// The asked size; a side that was not asked for follows from the other, both from the input.
  func outputSize(_ input: PixelSize, _ settings: Settings) throws -> PixelSize {
    let size: PixelSize
    switch (width, height) {
    case (let width?, let height?): size = PixelSize(width, height)
    case (let width?, nil): size = PixelSize(width, input.height * width / input.width)
    case (nil, let height?): size = PixelSize(input.width * height / input.height, height)
    case (nil, nil): size = input
    }
    let even = PixelSize(max(2, size.even.width), max(2, size.even.height))
    let longest = Canvas.sides.upperBound
    guard even.pixels <= settings.maxPixels, even.width <= longest, even.height <= longest else {
      throw EngineError(
        .badInput,
        "the result would have \(even) pixels, and \(settings.maxPixels) are the most: set task.width and task.height")
    }
    return even
  }

  private func outputRate(_ video: Probe.Video, _ settings: Settings) -> FrameRate {
    let most = Double(min(settings.maxFps, format.maximumFps))
    if let fps { return FrameRate(fps) }
    guard let own = video.rate else { return FrameRate(min(Self.standardFps, most)) }
    return own.value <= most ? own : FrameRate(most)
  }
}

extension Probe {
  /// Throws `bad_input` when the file is longer or larger than this process takes.
  func check(_ settings: Settings, asked: Double?) throws {
    if let video, video.stored.pixels > settings.maxInputPixels {
      throw EngineError(
        .badInput,
        "the video of task.inputUrl has \(video.stored) pixels; width times height must be at most "
          + "\(settings.maxInputPixels)")
    }
    if asked == nil, let seconds, seconds > Double(settings.maxInputSeconds) {
      throw EngineError(
        .badInput,
        "the file of task.inputUrl says that it is \(Int(min(seconds, 1e12))) s long; at most "
          + "\(settings.maxInputSeconds) s are taken: set task.seconds to take its beginning")
    }
  }
}
