import FFmpegTasks
import Glibc
import PluginProtocol

/// Finds a font without fontconfig, which may have none configured.
enum FontFinder {
  /// Sans-serif fonts with wide coverage, where distributions put them.
  private static let known = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf", "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf", "/usr/share/fonts/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation-sans/LiberationSans-Regular.ttf", "/usr/share/fonts/truetype/freefont/FreeSans.ttf",
  ]
  private static let directories = ["/usr/share/fonts", "/usr/local/share/fonts"]
  private static let maximumDepth = 4
  private static let maximumEntries = 5000
  private static let maximumBytes = 64 << 20

  /// The configured font, else the first known one, else the first readable one by name.
  ///
  /// - Throws: `unsupported` with what to do when there is none.
  static func find(_ configured: String?) throws -> (FontMetrics, path: String) {
    if let configured {
      guard let font = read(configured) else {
        throw EngineError(.unsupported, "fontFile \(configured) is not a TrueType or OpenType font that can be read")
      }
      return (font, configured)
    }
    for path in known { if let font = read(path) { return (font, path) } }
    var entries = 0
    for directory in directories {
      for path in fonts(in: directory, depth: 0, &entries) { if let font = read(path) { return (font, path) } }
    }
    throw EngineError(
      .unsupported, "no font is installed: install one (apt-get install fonts-dejavu-core), or set fontFile")
  }

  private static func read(_ path: String) -> FontMetrics? {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var information = stat()
    guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG,
      1...maximumBytes ~= Int(information.st_size)
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(information.st_size))
    var filled = 0
    while filled < bytes.count {
      let got = bytes.withUnsafeMutableBytes {
        Glibc.read(descriptor, $0.baseAddress?.advanced(by: filled), $0.count - filled)
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return nil }
      filled += got
    }
    return FontMetrics(bytes)
  }

  private static func fonts(in directory: String, depth: Int, _ entries: inout Int) -> [String] {
    guard depth < maximumDepth, let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while entries < maximumEntries, let entry = readdir(stream) {
      entries += 1
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted().flatMap { name -> [String] in
      let path = "\(directory)/\(name)"
      let ending = name.suffix(4).lowercased()
      if [".ttf", ".otf", ".ttc"].contains(ending) { return [path] }
      return fonts(in: path, depth: depth + 1, &entries)
    }
  }
}
