/// A file of the work directory, with what its first bytes have shown it to be.
package struct MediaInput: Equatable, Sendable {
  /// Absolute, without links.
  package var path: String
  package var format: MediaFormat
  /// Size from the header, for images.
  package var size: PixelSize?

  package init(path: String, format: MediaFormat, size: PixelSize? = nil) {
    self.path = path
    self.format = format
    self.size = size
  }

  /// `file:` in front: the rest is a name and nothing else, whatever characters are in it.
  var argument: String { "file:\(path)" }

  /// One demuxer, files only, frames of a bounded size: whatever the file says about other files is not followed.
  func guards(_ settings: Settings) -> [String] {
    [
      "-protocol_whitelist", "file", "-format_whitelist", format.rawValue, "-max_pixels",
      String(settings.maxInputPixels), "-f", format.rawValue,
    ]
  }

  /// The file as an input of ffmpeg.
  func inputArguments(_ settings: Settings) -> [String] {
    ["-threads", String(settings.threads)] + guards(settings) + ["-i", argument]
  }
}
