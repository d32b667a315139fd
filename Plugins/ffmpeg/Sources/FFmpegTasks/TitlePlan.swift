import PluginProtocol

/// Text in the middle of a plain background.
package struct TitleRequest: Equatable, Sendable {
  var text: String
  var canvas: Canvas
  var color: PictureColor
  var background: PictureColor

  /// Most characters; more would be too small to read on any picture.
  static let maximumCharacters = 2000

  /// Reads the task: `prompt`, and what `Canvas` reads, `color` and `background`.
  package init(_ fields: FieldReader, _ settings: Settings) throws {
    text = try fields.requiredString("prompt")
    // Bytes first: counting the characters of a hostile prompt is work.
    guard text.utf8.count <= 16 * Self.maximumCharacters, text.count <= Self.maximumCharacters else {
      throw EngineError(
        .badInput, "\(fields.path).prompt is too long for a title: at most \(Self.maximumCharacters) characters")
    }
    canvas = try Canvas(fields, settings)
    color = try PictureColor.read(fields, "color") ?? PictureColor(value: 0xFFFFFF)
    background = try PictureColor.read(fields, "background") ?? PictureColor(value: 0x101820)
  }

  /// - Throws: `bad_input` when there is nothing to show or it does not fit.
  package func plan(_ font: FontMetrics, path: String, _ settings: Settings) throws -> Plan {
    let layout = try TextLayout(text, in: canvas.size, font: font)
    var files: [String: [UInt8]] = [:]
    var filter = "color=c=\(background.argument):s=\(canvas.size.argument):r=\(canvas.rate),format=yuv444p"
    for (index, line) in layout.lines.enumerated() where !line.text.isEmpty {
      let name = "line-\(index)"
      files[name] = Array(line.text.utf8)
      filter +=
        ",drawtext=fontfile=\(Plan.fontName):textfile=\(name):expansion=none:fontsize=\(layout.fontSize)"
        + ":fontcolor=\(color.argument):x=(w-text_w)/2:y=\(line.baseline)-max_glyph_a"
    }
    var command = CommandLine(settings)
    command.add(
      "-filter_complex", "\(filter),\(canvas.format.finish)[out]", "-map", "[out]", "-frames:v", String(canvas.frames))
    command.finish(canvas.format)
    var plan = canvas.plan(command, method: "ffmpeg drawtext: the prompt as text on a plain background, no model")
    plan.files = files
    plan.font = path
    if layout.missing > 0 { plan.notes.append("\(layout.missing) characters are not in the font \(path)") }
    return plan
  }
}
