import PluginProtocol

/// Several still images, one after the other, with cross-fades.
package struct SlideshowRequest: Equatable, Sendable {
  package var imageURLs: [String]
  var canvas: Canvas
  /// Frames of one cross-fade; 0 for hard cuts.
  var fade: Int

  private static let standardFadeSeconds = 0.5
  private static let secondsPerImage = 2.0
  /// The part of the work that goes into bringing the images to size.
  private static let preparing = 0.3

  /// Reads the task: `imageUrls`, and what `Canvas` reads, with 2 seconds an image when `seconds` is absent, and
  /// `crossFadeSeconds` (0.5, or less where images are shown for less than 1.5 s).
  package init(_ fields: FieldReader, _ settings: Settings) throws {
    guard let urls = try fields.strings("imageUrls"), !urls.isEmpty else {
      throw EngineError(.badInput, "\(fields.path).imageUrls is missing: it must be a list of one or more images")
    }
    guard urls.count <= settings.maxImages else {
      throw EngineError(.badInput, "\(fields.path).imageUrls must be at most \(settings.maxImages) images")
    }
    imageURLs = urls
    canvas = try Canvas(fields, settings, standardSeconds: Self.secondsPerImage * Double(urls.count))
    guard canvas.frames >= urls.count else {
      throw EngineError(.badInput, "\(fields.path).seconds is too short: there are more images than frames")
    }
    // Two fades must not meet in one image.
    let most = urls.count > 1 ? canvas.frames / (urls.count + 1) : 0
    if let seconds = try fields.double("crossFadeSeconds") {
      guard seconds >= 0, seconds <= canvas.rate.seconds(most) || urls.count == 1 else {
        let limit = (canvas.rate.seconds(most) * 100).rounded(.down) / 100
        throw EngineError(
          .badInput, "\(fields.path).crossFadeSeconds must be from 0 to \(limit) for \(urls.count) images in that time")
      }
      fade = min(most, Int((seconds * canvas.rate.value).rounded()))
    } else {
      fade = min(canvas.rate.frames(Self.standardFadeSeconds), canvas.frames / (3 * urls.count), most)
    }
  }

  package func plan(_ images: [MediaInput], _ settings: Settings) -> Plan {
    var plan = canvas.plan(
      show(settings),
      method: "ffmpeg \(fade > 0 ? "xfade" : "concat"): \(images.count) still images "
        + (fade > 0 ? "with cross-fades, no model" : "without cross-fades, no model"))
    plan.steps[0].share = 1 - Self.preparing
    // One image at a time is decoded at its own size, so that memory does not grow with their number.
    plan.steps = images.enumerated().map { prepare($1, name: Self.name($0), settings, of: images.count) } + plan.steps
    return plan
  }

  private static func name(_ index: Int) -> String { "image-\(index)" }

  private func prepare(_ image: MediaInput, name: String, _ settings: Settings, of count: Int) -> PlanStep {
    var line = CommandLine(settings)
    line.add(image.inputArguments(settings))
    line.add(
      "-filter_complex", "[0:v]\(Filter.firstFrame),\(Filter.contain(canvas.size))[out]", "-map", "[out]",
      "-frames:v", "1", "-c:v", "png", "-fflags", "+bitexact", "-f", "image2pipe", "file:\(name)")
    return PlanStep(
      arguments: line.arguments, stage: "prepare", frames: 1, share: Self.preparing / Double(count))
  }

  /// The first frame of each image; the last image ends with the canvas.
  var starts: [Int] {
    let count = imageURLs.count
    return (0..<count).map { $0 * (canvas.frames - fade) / count }
  }

  private func show(_ settings: Settings) -> CommandLine {
    var line = CommandLine(settings)
    let (starts, rate) = (starts, canvas.rate)
    // Frames numbered from 0 without gaps. xfade leaves out a time where a fade ends.
    let numbered = "settb=\(rate.denominator)/\(rate.numerator),setpts=N,fps=\(rate)"
    var filter = ""
    for index in starts.indices {
      let prepared = MediaInput(path: Self.name(index), format: .png)
      line.add(prepared.inputArguments(settings))
      let end = index + 1 < starts.count ? starts[index + 1] + fade : canvas.frames
      let frames = end - starts[index]
      filter +=
        "[\(index):v]loop=loop=\(frames - 1):size=1:start=0,\(numbered),format=yuv444p[i\(index)];"
    }
    var last = "[i0]"
    if fade == 0, starts.count > 1 {
      filter += starts.indices.map { "[i\($0)]" }.joined() + "concat=n=\(starts.count):v=1:a=0[all];"
      last = "[all]"
    } else {
      for index in starts.indices.dropFirst() {
        filter +=
          "\(last)[i\(index)]xfade=transition=fade:duration=\(decimal(rate.seconds(fade)))"
          + ":offset=\(decimal(rate.seconds(starts[index]))),\(numbered)[x\(index)];"
        last = "[x\(index)]"
      }
    }
    line.add(
      "-filter_complex", "\(filter)\(last)\(canvas.format.finish)[out]", "-map", "[out]", "-frames:v",
      String(canvas.frames))
    line.finish(canvas.format)
    return line
  }
}
