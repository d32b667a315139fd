import Glibc
import Host

/// Reads what a user names on the command line.
enum InputFile {
  /// Longest text taken, in bytes. A task of such a text is uploaded.
  static let maximumBytes = 16 << 20

  /// A file's text, or that of stdin for `-`.
  static func text(_ path: String) throws -> String {
    let bytes = try path == "-" ? standardInput() : file(path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let offset = firstBadByte(bytes)
      throw CLIError.usage("\(name(path)) is not UTF-8 text (byte \(offset)); save it as UTF-8")
    }
    return text
  }

  /// The absolute path of a regular file.
  static func locate(_ path: String) throws -> String {
    guard case .success(let resolved) = FilePath.resolve(path) else {
      throw CLIError.usage("\(path): the file does not exist, or may not be read")
    }
    guard FilePath.kind(resolved) == .file else {
      throw CLIError.usage("\(path) is not a file; name the file itself")
    }
    guard access(resolved, R_OK) == 0 else {
      throw CLIError.usage("\(path) cannot be read: \(String(cString: strerror(errno)))")
    }
    return resolved
  }

  private static func file(_ path: String) throws -> [UInt8] {
    do throws(SafeFile.ReadError) {
      return try SafeFile.read(path, maxBytes: maximumBytes).bytes
    } catch {
      throw CLIError(.usage, class: "file", error.description)
    }
  }

  private static func standardInput() throws -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(STDIN_FILENO, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw CLIError.usage("stdin cannot be read: \(String(cString: strerror(errno)))") }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= maximumBytes else {
        throw CLIError.usage("stdin holds more than \(ByteSize.text(Int64(maximumBytes))); make it smaller")
      }
    }
  }

  private static func name(_ path: String) -> String { path == "-" ? "stdin" : path }

  /// Offset of the first byte that is not UTF-8.
  static func firstBadByte(_ bytes: [UInt8]) -> Int {
    var decoder = Unicode.UTF8.ForwardParser()
    var iterator = bytes.makeIterator()
    var offset = 0
    while true {
      switch decoder.parseScalar(from: &iterator) {
      case .valid(let scalar): offset += scalar.count
      case .error, .emptyInput: return offset
      }
    }
  }
}
