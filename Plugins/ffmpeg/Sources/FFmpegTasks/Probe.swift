import PluginProtocol

/// What ffprobe says about a file of sound or moving pictures.
package struct Probe: Equatable, Sendable {
  package struct Video: Equatable, Sendable {
    package var index: Int
    /// As it is shown: turned upright, with square pixels.
    package var size: PixelSize
    /// As it is stored, which is what decoding costs.
    package var stored: PixelSize
    /// Nil when the file does not say, or nonsense.
    package var rate: FrameRate?
  }

  package var video: Video?
  /// Index of the first sound stream.
  package var audio: Int?
  /// Seconds that the file says it has; a claim, not a measurement.
  package var seconds: Double?

  private static let maximumRate = 1000

  /// Reads ffprobe's JSON. Cover pictures do not count as video.
  package init(_ json: JSONValue) throws {
    let fields = try FieldReader(json, path: "ffprobe")
    for stream in try fields.list("streams") {
      guard let index = try stream.int("index") else { continue }
      switch try stream.string("codec_type") {
      case "audio" where audio == nil: audio = index
      case "video" where video == nil && stream.value["disposition"]?["attached_pic"]?.int != 1:
        video = try Self.video(stream, index)
      default: break
      }
    }
    let stated = try fields.nested("format")?.string("duration").flatMap(Double.init)
    seconds = stated.flatMap { $0.isFinite && $0 > 0 ? $0 : nil }
  }

  private static func video(_ stream: FieldReader, _ index: Int) throws -> Video? {
    guard let width = try stream.int("width"), let height = try stream.int("height"),
      1...65_536 ~= width, 1...65_536 ~= height
    else { return nil }
    var shown = PixelSize(width, height)
    if let aspect = try stream.string("sample_aspect_ratio") {
      let parts = aspect.split(separator: ":").compactMap { Int($0) }
      if parts.count == 2, 1...10_000 ~= parts[0], 1...10_000 ~= parts[1] {
        shown.width = min(65_536, max(1, width * parts[0] / parts[1]))
      }
    }
    let turns = (stream.value["side_data_list"]?.array ?? []).compactMap { $0["rotation"]?.double }
    if let turn = turns.first, turn.isFinite, abs(turn.truncatingRemainder(dividingBy: 180)).rounded() == 90 {
      shown = PixelSize(shown.height, shown.width)
    }
    let rates = [try stream.string("avg_frame_rate"), try stream.string("r_frame_rate")]
    let rate = rates.compactMap { $0.flatMap { FrameRate(printed: $0, maximum: maximumRate) } }.first
    return Video(index: index, size: shown, stored: PixelSize(width, height), rate: rate)
  }

  /// Arguments of ffprobe for `input`.
  package static func arguments(_ input: MediaInput, _ settings: Settings) -> [String] {
    ["-v", "error", "-probesize", "16M", "-analyzeduration", "10M"] + input.guards(settings)
      + ["-show_streams", "-show_format", "-of", "json", "-i", input.argument]
  }
}
