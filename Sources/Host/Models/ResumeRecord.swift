import Glibc
import PluginProtocol

/// What is remembered beside a `.part` file, so that a later attempt may continue it: `<filename>.part.json`.
struct ResumeRecord: Equatable, Sendable {
  /// SHA-256 of the URL: the URL itself may hold a token.
  var source: String
  /// A strong validator for `If-Range`, or nil when the server gave none.
  var validator: String?
  var total: Int64?

  init(source: String, validator: String?, total: Int64?) {
    self.source = source
    self.validator = validator
    self.total = total
  }

  /// The validator a later request may use: a strong ETag, else the date of the last change.
  static func validator(of head: HTTPHead) -> String? {
    if let tag = head.headers["etag"], tag.hasPrefix("\""), tag.utf8.count <= 512 { return tag }
    return head.headers["last-modified"].flatMap { $0.utf8.count <= 128 ? $0 : nil }
  }

  /// Reads the record; an absent or unreadable one is nil, which only costs a restart.
  init?(path: String) {
    guard let bytes = SmallFile.read(path), let json = try? JSONValue(parsing: bytes),
      let source = json["source"]?.string
    else { return nil }
    self.init(source: source, validator: json["validator"]?.string, total: json["total"]?.int)
  }

  func write(to path: String) throws(ModelError) {
    let json: JSONValue = .compact([
      "source": .string(source), "validator": JSONValue(validator), "total": JSONValue(total),
    ])
    try SmallFile.write(json.bytes, to: path)
  }
}

/// Small files of the store's own, replaced as a whole.
enum SmallFile {
  /// How the names of half-written files begin; a process that was killed may leave one.
  static let temporaryPrefix = ".new-"
  private static let limit = 1 << 20

  static func read(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard let stamp = try? FileStamp.of(descriptor: descriptor, path: path), stamp.size <= limit else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(stamp.size))
    var filled = 0
    while filled < bytes.count {
      let got = bytes.withUnsafeMutableBytes {
        Glibc.read(descriptor, $0.baseAddress?.advanced(by: filled), $0.count - filled)
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return nil }
      filled += got
    }
    return bytes
  }

  static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(ModelError) {
    let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let temporary = "\(directory)/\(temporaryPrefix)\(UInt64.random(in: 0 ... .max))"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw FileFault.error("write", path) }
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
      let result = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
      }
      if result < 0, errno == EINTR { continue }
      guard result > 0 else {
        let fault = FileFault.error("write", path)
        unlink(temporary)
        throw fault
      }
      written += result
    }
    guard rename(temporary, path) == 0 else {
      let fault = FileFault.error("write", path)
      unlink(temporary)
      throw fault
    }
  }
}
