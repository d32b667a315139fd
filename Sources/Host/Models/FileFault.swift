import Glibc

/// Errors of the file system in words.
enum FileFault {
  /// An error for the current `errno`: "cannot <what> <path>: <reason>".
  static func error(_ what: String, _ path: String) -> ModelError {
    let code = errno
    let name = path.isEmpty ? "" : " \(path)"
    if code == ENOSPC || code == EDQUOT {
      return ModelError(.diskFull, "cannot \(what)\(name): the disk is full; free some space and try again")
    }
    return ModelError(.fileSystem, "cannot \(what)\(name): \(String(cString: strerror(code)))")
  }

  /// This process's directory.
  static var workingDirectory: String {
    guard let path = getcwd(nil, 0) else { return "." }
    defer { free(path) }
    return String(cString: path)
  }

  /// Where a path leads after all links; the path itself when it leads nowhere.
  static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  /// Sizes as people read them, exact below 10,000 bytes.
  static func size(_ bytes: Int64) -> String {
    if bytes < 10_000 { return "\(bytes) bytes" }
    let units = ["kB", "MB", "GB", "TB"]
    var value = Double(bytes) / 1000
    var unit = 0
    while value >= 1000, unit + 1 < units.count {
      value /= 1000
      unit += 1
    }
    return "\((value * 10).rounded() / 10) \(units[unit])"
  }
}

/// What identifies a file's content without reading it.
struct FileStamp: Sendable, Hashable {
  var size: Int64
  /// Nanoseconds since 1970.
  var modified: Int64
  var inode: UInt64

  init(size: Int64, modified: Int64, inode: UInt64) {
    self.size = size
    self.modified = modified
    self.inode = inode
  }

  private init(_ status: stat) {
    size = Int64(status.st_size)
    modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
    inode = UInt64(status.st_ino)
  }

  enum Found {
    case file(FileStamp)
    case absent
    /// Something that is not a regular file, in words: `a directory`, `a pipe` …
    case other(String)
  }

  /// Looks at a path without opening it, so that a pipe or a device cannot block.
  static func look(_ path: String, followLinks: Bool) throws(ModelError) -> Found {
    var status = stat()
    let result = followLinks ? stat(path, &status) : lstat(path, &status)
    guard result == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return .absent }
      throw FileFault.error("look at", path)
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file(FileStamp(status))
    case S_IFDIR: return .other("a directory")
    case S_IFLNK: return .other("a symbolic link")
    case S_IFIFO: return .other("a named pipe")
    case S_IFSOCK: return .other("a socket")
    default: return .other("a device")
    }
  }

  /// The stamp of an open regular file.
  static func of(descriptor: Int32, path: String) throws(ModelError) -> FileStamp {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileFault.error("look at", path) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw ModelError(.fileSystem, "\(path) is not a regular file") }
    return FileStamp(status)
  }
}
