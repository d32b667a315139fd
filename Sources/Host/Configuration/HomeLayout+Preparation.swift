import Glibc

extension HomeLayout {
  /// Greatest length in bytes of a Unix socket's path: `sun_path` holds 108 with the closing NUL (unix(7)).
  package static let maxSocketPathBytes = 107

  /// The socket's path.
  /// - Throws: ``HomeError`` when the system could not bind it.
  package func checkedSocketPath() throws(HomeError) -> String {
    let bytes = socketPath.utf8.count
    guard bytes <= HomeLayout.maxSocketPathBytes else {
      throw HomeError(
        path: socketPath,
        problem: "the socket's path \(socketPath) has \(bytes) bytes and the system allows "
          + "\(HomeLayout.maxSocketPathBytes); use a shorter home with --home DIR")
    }
    return socketPath
  }

  /// Creates the directories that are missing, for this user alone (0700), and closes the data and runtime directories
  /// to others. Directories of plugins are not created, except the home's own.
  /// - Throws: ``HomeError`` naming the first directory that cannot be had, and what to do.
  package func prepare() throws(HomeError) {
    _ = try checkedSocketPath()
    if let home { try HomeLayout.create(home) }
    let own = [dataDirectory, jobsDirectory, stateDirectory, cacheDirectory, runtimeDirectory]
    for directory in own { try HomeLayout.create(directory) }
    try HomeLayout.create(modelsDirectory)
    try HomeLayout.create(FilePath.parent(configFile))
    if let plugins = pluginDirectories.first(where: { $0.origin == .home }) { try HomeLayout.create(plugins.path) }
    for directory in [dataDirectory, runtimeDirectory] { try HomeLayout.close(directory) }
    for directory in own { try HomeLayout.requireWritable(directory) }
  }

  /// `mkdir -p` with mode 0700 for what is created.
  private static func create(_ path: String) throws(HomeError) {
    switch FilePath.kind(path) {
    case .directory?: return
    case .file?, .other?:
      throw HomeError(
        path: path, problem: "\(path) is in the way: a directory is needed there; move it, or give another --home DIR")
    case nil: break
    }
    let parent = FilePath.parent(path)
    if parent != path { try create(parent) }
    guard mkdir(path, 0o700) == 0 || errno == EEXIST && FilePath.kind(path) == .directory else {
      throw HomeError(path: path, problem: "cannot create \(path): \(reason(errno)); give another home with --home DIR")
    }
  }

  /// Takes all rights from others on a directory that holds other people's work.
  private static func close(_ path: String) throws(HomeError) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & 0o077 != 0 else { return }
    guard chmod(path, 0o700) == 0 else {
      throw HomeError(
        path: path,
        problem: "\(path) is open to other users and cannot be closed: \(reason(errno)); run chmod 700 on it")
    }
  }

  private static func requireWritable(_ path: String) throws(HomeError) {
    guard access(path, W_OK | X_OK) == 0 else {
      throw HomeError(
        path: path,
        problem: "cannot write in \(path): \(reason(errno)); make it writable, or give another home with --home DIR")
    }
  }

  private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

extension FilePath {
  /// The path itself when absolute, otherwise below `directory`; without `.` and `..` where the text alone tells.
  package static func absolute(_ path: String, below directory: String) -> String {
    let whole = path.hasPrefix("/") ? path : join(directory, path)
    var parts: [Substring] = []
    for part in whole.split(separator: "/") where part != "." {
      if part == "..", !parts.isEmpty { parts.removeLast() } else if part != ".." { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }
}
