import PluginProtocol

/// Sound as a moving curve.
package struct WaveformRequest: Equatable, Sendable {
  package var inputURL: String
  var format: VideoFormat
  var size: PixelSize
  var rate: FrameRate
  var seconds: Double?
  var color: PictureColor

  /// Fewer samples a second would make the curve coarse.
  private static let leastSampleRate = 44_100

  /// Reads the task: `inputUrl`, `ext`, `width`, `height` (512), `fps` (24), `seconds` (all of the input), `color`.
  package init(_ fields: FieldReader, _ settings: Settings) throws {
    inputURL = try fields.requiredString("inputUrl")
    format = try VideoFormat(fields)
    size = PixelSize(try Canvas.side(fields, "width") ?? 512, try Canvas.side(fields, "height") ?? 512).even
    try Canvas.check(size, fields, settings)
    rate = FrameRate(try Canvas.fps(fields, settings, format) ?? Canvas.standardFps)
    seconds = try Canvas.seconds(fields, most: settings.maxInputSeconds)
    color = try PictureColor.read(fields, "color") ?? PictureColor(value: 0x40C0FF)
  }

  /// - Throws: `bad_input` when the file has no sound or is over a bound.
  package func plan(_ input: MediaInput, _ probe: Probe, _ settings: Settings) throws -> Plan {
    try probe.check(settings, asked: seconds)
    guard let audio = probe.audio else {
      throw EngineError(.badInput, "the file of task.inputUrl has no sound to draw")
    }
    let source =
      format.hasSound
      ? "[0:\(audio)]asplit=2[heard][drawn];[heard]\(VideoFormat.soundFilter)[sound];[drawn]" : "[0:\(audio)]"
    let filter =
      "\(source)aformat=channel_layouts=mono,aresample=\(sampleRate),showwaves=s=\(size.argument):mode=cline"
      + ":rate=\(rate):colors=\(color.argument),fps=\(rate),setsar=1,\(format.finish)[out]"
    var line = CommandLine(settings)
    line.add(input.inputArguments(settings))
    line.add("-filter_complex", filter, "-map", "[out]")
    if format.hasSound { line.add("-map", "[sound]") }
    line.add("-t", decimal(seconds ?? Double(settings.maxInputSeconds)))
    line.finish(format, sound: format.hasSound)
    let length = [seconds, probe.seconds].compactMap { $0 }.min()
    return Plan(
      steps: [PlanStep(arguments: line.arguments, stage: "render", seconds: length, share: 1)], format: format,
      size: size, rate: rate, hasSound: format.hasSound,
      method: "ffmpeg showwaves: the input's sound as a moving curve, no model")
  }

  /// Samples a second that fill a frame's columns evenly: `showwaves` draws a whole number of samples a column, and
  /// with any other rate its frames would come too fast or too slow.
  var sampleRate: Int {
    let columns = Double(size.width) * rate.value
    return Int((columns * (Double(Self.leastSampleRate) / columns).rounded(.up)).rounded())
  }
}
