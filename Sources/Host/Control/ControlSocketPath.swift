import Glibc

/// The place of a control socket in the file system: connecting to it, and taking it for a worker.
enum ControlSocketPath {
  /// `sizeof(sun_path)` less the NUL.
  static let limit = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  /// A new socket; close-on-exec, blocking.
  static func socket(_ path: String) throws(ControlError) -> CInt {
    let descriptor = Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system(doing: "open a socket for", path: path, code: errno) }
    return descriptor
  }

  /// Calls `connect` or `bind` with the path; returns 0 or an `errno`.
  static func with(
    _ path: String, _ call: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) throws(ControlError) -> CInt {
    guard path.utf8.count <= limit, !path.utf8.contains(0) else { throw .pathTooLong(path: path, limit: limit) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        var code: CInt
        repeat {
          code = call(generic, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 ? 0 : errno
        } while code == EINTR
        return code
      }
    }
  }

  /// A connected, blocking socket. The caller closes it.
  ///
  /// - Throws: `ControlError.noWorker` when nothing listens there.
  static func connect(_ path: String) throws(ControlError) -> CInt {
    let descriptor = try socket(path)
    do throws(ControlError) {
      let code = try with(path) { Glibc.connect(descriptor, $0, $1) }
      switch code {
      case 0: return descriptor
      case ENOENT, ECONNREFUSED, ENOTDIR, ENOTSOCK, EPROTOTYPE: throw .noWorker(path: path)
      default: throw .system(doing: "connect to", path: path, code: code)
      }
    } catch {
      close(descriptor)
      throw error
    }
  }
}

/// A listening control socket that nobody else holds. While it lives, no other one can be bound at its path.
struct ControlListener: ~Copyable {
  let descriptor: CInt
  private let lock: CInt
  private let path: String
  private let inode: UInt64

  /// Takes the path: makes the directory (0700) when it is missing, replaces a socket whose worker is gone, and listens
  /// with 0600.
  ///
  /// - Throws: `ControlError.homeInUse` when a worker lives there.
  init(path: String) throws(ControlError) {
    guard path.utf8.count <= ControlSocketPath.limit else {
      throw .pathTooLong(path: path, limit: ControlSocketPath.limit)
    }
    try ControlListener.prepareDirectory(of: path)
    // Two workers that start at once both find the old socket stale: the lock decides, and dies with its holder.
    let lock = try ControlListener.takeLock(path)
    do throws(ControlError) {
      try ControlListener.clearStale(path)
      descriptor = try ControlListener.bind(path)
    } catch {
      close(lock)
      throw error
    }
    var status = stat()
    inode = lstat(path, &status) == 0 ? UInt64(status.st_ino) : 0
    self.lock = lock
    self.path = path
  }

  /// Stops listening, and removes the socket unless something else stands there by now.
  deinit {
    var status = stat()
    if lstat(path, &status) == 0, UInt64(status.st_ino) == inode, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
    close(descriptor)
    close(lock)
  }

  private static func prepareDirectory(of path: String) throws(ControlError) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return }
    let directory = slash == path.startIndex ? "/" : String(path[..<slash])
    if mkdir(directory, 0o700) != 0, errno != EEXIST {
      throw .system(doing: "create", path: directory, code: errno)
    }
    var status = stat()
    guard stat(directory, &status) == 0 else { throw .system(doing: "read", path: directory, code: errno) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw .occupied(path: directory, reason: "is not a directory") }
    guard status.st_uid == geteuid() else {
      throw .occupied(path: directory, reason: "belongs to user \(status.st_uid), not to this one")
    }
    guard status.st_mode & 0o077 != 0 else { return }
    guard chmod(directory, 0o700) == 0 else {
      throw .system(doing: "close to other users", path: directory, code: errno)
    }
  }

  private static func takeLock(_ path: String) throws(ControlError) -> CInt {
    let lockPath = path + ".lock"
    let lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard lock >= 0 else { throw .system(doing: "create", path: lockPath, code: errno) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(lock)
      throw code == EWOULDBLOCK ? .homeInUse(path: path) : .system(doing: "lock", path: lockPath, code: code)
    }
    return lock
  }

  private static func clearStale(_ path: String) throws(ControlError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw .system(doing: "read", path: path, code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .occupied(path: path, reason: "is not a socket") }
    do throws(ControlError) {
      close(try ControlSocketPath.connect(path))
    } catch .noWorker {
      guard unlink(path) == 0 || errno == ENOENT else { throw .system(doing: "remove", path: path, code: errno) }
      return
    }
    throw .homeInUse(path: path)
  }

  private static func bind(_ path: String) throws(ControlError) -> CInt {
    let descriptor = try ControlSocketPath.socket(path)
    do throws(ControlError) {
      let code = try ControlSocketPath.with(path) { Glibc.bind(descriptor, $0, $1) }
      guard code == 0 else {
        throw code == EADDRINUSE ? .homeInUse(path: path) : .system(doing: "listen at", path: path, code: code)
      }
      // The directory is 0700: nobody can connect before this.
      guard chmod(path, 0o600) == 0, listen(descriptor, CInt(ControlProtocol.maximumConnections)) == 0 else {
        throw .system(doing: "listen at", path: path, code: errno)
      }
    } catch {
      close(descriptor)
      throw error
    }
    Descriptor.prepare(descriptor)
    return descriptor
  }
}
