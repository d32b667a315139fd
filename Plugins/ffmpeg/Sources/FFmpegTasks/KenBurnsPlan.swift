import PluginProtocol

/// A slow move over one still image.
package struct KenBurnsRequest: Equatable, Sendable {
  package var imageURL: String
  var canvas: Canvas
  var motion: Motion
  var focus: (x: Double, y: Double)
  var seed: UInt64

  /// Most pixels that the image is scaled to before the view moves over it: the move is in whole pixels of that.
  private static let workingPixels = 16_777_216
  private static let maximumFactor = 4

  /// Reads the task: `initImageUrl`, and what `Canvas` reads, `motion`, `seed` (0).
  package init(_ fields: FieldReader, _ settings: Settings) throws {
    imageURL = try fields.requiredString("initImageUrl")
    canvas = try Canvas(fields, settings)
    seed = try fields.count("seed") ?? 0
    var generator = SeededGenerator(state: seed)
    let drawn = Motion.allCases[Int.random(in: 0..<Motion.allCases.count, using: &generator)]
    focus = (Double.random(in: 0.25...0.75, using: &generator), Double.random(in: 0.25...0.75, using: &generator))
    motion = try Motion.chosen(fields) ?? drawn
  }

  package func plan(_ image: MediaInput, _ settings: Settings) -> Plan {
    let size = canvas.size
    var factor = Self.maximumFactor
    while factor > 1, size.pixels * factor * factor > Self.workingPixels { factor -= 1 }
    let working = PixelSize(size.width * factor, size.height * factor)
    let move = motion.expressions(frames: canvas.frames, focus: focus)
    let filter =
      "[0:v]\(Filter.firstFrame),\(Filter.cover(working)),zoompan=z='\(move.z)':x='\(move.x)':y='\(move.y)'"
      + ":d=\(canvas.frames):s=\(size.argument):fps=\(canvas.rate),setsar=1,\(canvas.format.finish)[out]"
    var line = CommandLine(settings)
    line.add(image.inputArguments(settings))
    line.add("-filter_complex", filter, "-map", "[out]", "-frames:v", String(canvas.frames))
    line.finish(canvas.format)
    return canvas.plan(
      line, method: "ffmpeg zoompan: \(motion.rawValue) over one still image, no model", seed: seed)
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.imageURL == right.imageURL && left.canvas == right.canvas && left.motion == right.motion
      && left.focus == right.focus && left.seed == right.seed
  }
}

extension Canvas {
  /// A plan of one step that makes exactly this canvas.
  func plan(_ line: CommandLine, method: String, seed: UInt64? = nil) -> Plan {
    let step = PlanStep(arguments: line.arguments, stage: "render", frames: frames, seconds: seconds, share: 1)
    return Plan(
      steps: [step], format: format, size: size, rate: rate, frames: frames, method: method, seed: seed)
  }
}
