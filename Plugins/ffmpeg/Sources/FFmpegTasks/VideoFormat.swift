import PluginProtocol

/// The four formats of a result.
package enum VideoFormat: String, CaseIterable, Sendable {
  case mp4, webm, gif, webp

  /// Reads `ext`; MP4 when the task does not say.
  package init(_ fields: FieldReader) throws {
    let name = try fields.string("ext") ?? Self.mp4.rawValue
    guard let format = Self(rawValue: name.lowercased()) else {
      throw EngineError(.badInput, "\(fields.path).ext must be mp4, webm, gif or webp, not \"\(name.prefix(32))\"")
    }
    self = format
  }

  package var contentType: String {
    switch self {
    case .mp4: "video/mp4"
    case .webm: "video/webm"
    case .gif: "image/gif"
    case .webp: "image/webp"
    }
  }

  package var fileName: String { "video.\(rawValue)" }

  package var hasSound: Bool { self == .mp4 || self == .webm }

  /// A GIF's delays are whole hundredths of a second, and viewers slow down one that has less than two.
  package var maximumFps: Int { self == .gif ? 50 : .max }

  /// The end of every filter chain: pixels as the encoder wants them.
  ///
  /// A GIF gets a palette a frame: one palette for the whole would have to keep every frame in memory.
  var finish: String {
    switch self {
    case .mp4, .webm, .webp: "format=yuv420p"
    case .gif:
      "format=rgb24,split[plain][seen];[seen]palettegen=stats_mode=single[palette];"
        + "[plain][palette]paletteuse=new=1:dither=bayer:bayer_scale=3"
    }
  }

  /// Encoder and its settings for the picture.
  var videoArguments: [String] {
    switch self {
    case .mp4: ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20"]
    case .webm:
      ["-c:v", "libvpx-vp9", "-crf", "32", "-b:v", "0", "-deadline", "good", "-cpu-used", "5", "-row-mt", "1"]
    case .gif: ["-c:v", "gif"]
    // Not libwebp_anim, which keeps all frames in memory and drops those that repeat: a title would be a still image.
    case .webp: ["-c:v", "libwebp", "-lossless", "0", "-quality", "75", "-compression_level", "3"]
    }
  }

  /// A filter for sound: more than two channels are mixed down.
  static let soundFilter = "aformat=channel_layouts=stereo|mono"

  /// Encoder and its settings for sound.
  var audioArguments: [String] {
    switch self {
    case .mp4: ["-c:a", "aac", "-b:a", "160k"]
    case .webm: ["-c:a", "libopus", "-b:a", "128k"]
    case .gif, .webp: []
    }
  }

  /// Container and its settings.
  var containerArguments: [String] {
    switch self {
    case .mp4: ["-movflags", "+faststart", "-f", "mp4"]
    case .webm: ["-f", "webm"]
    case .gif: ["-loop", "0", "-f", "gif"]
    case .webp: ["-loop", "0", "-f", "webp"]
    }
  }
}
