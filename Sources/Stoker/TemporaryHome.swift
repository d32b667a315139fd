import Glibc
import Host

/// A directory of its own below the home's data, for the jobs of a worker that lives for one command.
///
/// It is locked as long as the program lives, so that whoever comes later can tell one that is in use from one that a
/// killed program has left.
struct TemporaryHome: ~Copyable {
  private static let prefix = "exec-"

  let path: String
  private let descriptor: CInt

  init(below parent: String) throws {
    while true {
      var template = Array("\(parent)/\(TemporaryHome.prefix)XXXXXX".utf8CString)
      let isMade = mkdtemp(&template) != nil
      guard isMade else { throw TemporaryHome.failure(parent) }
      let made = template.withUnsafeBufferPointer { buffer in buffer.baseAddress.map { String(cString: $0) } ?? parent }
      let opened = open(made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      // A sweep that came between making and locking has removed it: another one is made.
      guard opened >= 0 else {
        if errno == ENOENT { continue }
        throw TemporaryHome.failure(parent)
      }
      guard flock(opened, LOCK_EX) == 0, access(made, F_OK) == 0 else {
        close(opened)
        continue
      }
      path = made
      descriptor = opened
      return
    }
  }

  deinit { close(descriptor) }

  /// Removes the directory and all that is in it.
  func remove() { FileTree.remove(path) }

  /// Removes what killed programs have left.
  static func sweep(below parent: String) {
    for name in FileTree.names(in: parent) where name.hasPrefix(prefix) {
      let path = "\(parent)/\(name)"
      let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { FileTree.remove(path) }
      close(descriptor)
    }
  }

  private static func failure(_ parent: String) -> CLIError {
    CLIError.usage(
      "cannot make a directory below \(parent): \(String(cString: strerror(errno))); give another home with --home DIR")
  }
}
