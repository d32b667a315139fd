import Glibc

/// What can be told of a model file by its first bytes.
enum PlainModelFile {
  /// GGUF's magic number, the first four bytes of every file of the format.
  private static let gguf = Array("GGUF".utf8)

  /// Says why a file cannot be a GGUF model, or nil when it may be one. Does not block, whatever the path leads to.
  static func problem(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return "\(path) cannot be read: \(String(cString: strerror(errno)))" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: gguf.count)
    guard pread(descriptor, &bytes, bytes.count, 0) == bytes.count, bytes == gguf else {
      return "\(path) is not a GGUF model (it does not begin with GGUF); replace it, or take it out of the directory"
    }
    return nil
  }
}
