import Host
import PluginProtocol

/// A file that a task is about, as typed: a path, a URL, or `-` for stdin.
struct TaskInput: Equatable, Sendable {
  let text: String

  /// What stands in a task for stdin until it has been uploaded.
  static let standardInput = "-"
  private static let schemes = ["https://", "http://", "data:", "file://"]

  /// True for what begins like a URL that a worker may fetch.
  static func isURL(_ text: String) -> Bool {
    let start = text.prefix(8).lowercased()
    return schemes.contains { start.hasPrefix($0) }
  }

  /// The URL of the task.
  ///
  /// - Parameter locate: Makes a path absolute, and throws when it does not lead to a file that can be read.
  func url(locate: (String) throws -> String) throws -> String {
    if text == TaskInput.standardInput || TaskInput.isURL(text) { return text }
    return TaskInput.url(ofFile: try locate(text))
  }

  /// A `file:` URL, each byte that is not plain in a URL's path written as `%XX` (RFC 3986, section 2.1).
  static func url(ofFile path: String) -> String {
    let unreserved = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/".utf8)
    let hex = Array("0123456789ABCDEF".utf8)
    var out = Array("file://".utf8)
    for byte in path.utf8 {
      if unreserved.contains(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
