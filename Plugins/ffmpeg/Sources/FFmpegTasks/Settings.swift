import PluginProtocol

/// The bounds that this process works within: the plugin's configuration and the host's resources.
package struct Settings: Equatable, Sendable {
  /// Longest picture that is made from nothing or from still images, in seconds.
  package var maxSeconds = 600
  /// Longest audio or video that is taken as input, and most of it that is written, in seconds.
  package var maxInputSeconds = 7200
  /// Most pixels of one frame of the result: 3840 by 2160.
  package var maxPixels = 3840 * 2160
  /// Most pixels of one input image or frame: 8192 by 8192.
  package var maxInputPixels = 8192 * 8192
  package var maxFps = 60
  /// Most images of a slideshow.
  package var maxImages = 50
  /// Most bytes of a result file.
  package var maxOutputBytes: UInt64 = 1024 << 20
  /// Most private memory of one ffmpeg process, in bytes.
  package var memoryBytes: UInt64 = 2048 << 20
  /// Threads of one ffmpeg process, 1 or more.
  package var threads = 1
  /// Absolute path of the ffmpeg command; nil looks for it in PATH.
  package var ffmpegPath: String?
  /// Absolute path of a TrueType or OpenType font; nil looks for one.
  package var fontFile: String?

  package init() {}

  /// Less than this and ffmpeg does not start.
  private static let leastMemory: UInt64 = 128 << 20

  /// Reads `config` of `initialize`.
  ///
  /// - Parameter concurrency: jobs at a time, which share the threads.
  /// - Throws: `FieldError` or `EngineError`, naming the member.
  package init(config: JSONValue, resources: EngineResources, concurrency: Int) throws {
    let fields = try FieldReader(config, path: "config")
    maxSeconds = try Self.bound(fields, "maxSeconds", maxSeconds, in: 1...86_400)
    maxInputSeconds = try Self.bound(fields, "maxInputSeconds", maxInputSeconds, in: 1...86_400)
    maxPixels = try Self.bound(fields, "maxPixels", maxPixels, in: 4096...67_108_864)
    maxInputPixels = try Self.bound(fields, "maxInputPixels", maxInputPixels, in: 4096...268_435_456)
    maxFps = try Self.bound(fields, "maxFps", maxFps, in: 1...240)
    maxImages = try Self.bound(fields, "maxImages", maxImages, in: 2...200)
    maxOutputBytes = UInt64(try Self.bound(fields, "maxOutputMiB", 1024, in: 1...1_048_576)) << 20
    memoryBytes = UInt64(try Self.bound(fields, "memoryMiB", 2048, in: 256...1_048_576)) << 20
    if let bound = resources.memoryBytes { memoryBytes = max(Self.leastMemory, min(memoryBytes, bound)) }
    // Fixed, not shared out as jobs come and go: an encoder's bytes depend on its threads.
    threads = min(16, max(1, (resources.cpuThreads + concurrency - 1) / concurrency))
    ffmpegPath = try Self.path(fields, "ffmpegPath")
    fontFile = try Self.path(fields, "fontFile")
  }

  private static func bound(
    _ fields: FieldReader, _ key: String, _ standard: Int, in range: ClosedRange<Int>
  ) throws -> Int {
    let value = try fields.int(key) ?? standard
    guard range.contains(value) else {
      throw EngineError(.badInput, "config.\(key) must be from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// The empty string is the same as nothing.
  private static func path(_ fields: FieldReader, _ key: String) throws -> String? {
    guard let value = try fields.string(key), !value.isEmpty else { return nil }
    guard value.hasPrefix("/"), !value.utf8.contains(0) else {
      throw EngineError(.badInput, "config.\(key) must be an absolute path")
    }
    return value
  }
}
