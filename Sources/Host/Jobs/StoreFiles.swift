#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The files of a store beside its tables: creation, suspicion, and setting a damaged database aside.
struct StoreFiles {
  let directory: String
  var database: String { directory + "/jobs.sqlite" }
  var lock: String { directory + "/stoker.lock" }

  private static let header = Array("SQLite format 3\0".utf8)

  /// Creates the directory, private to its user, when it is missing.
  init(directory: String) throws(JobStoreError) {
    self.directory = directory
    try Self.makeDirectory(directory)
  }

  /// Whether the database must be read through before it is trusted: the former life left its log behind, or met
  /// damage, or the file does not begin as a database does.
  var mustCheck: Bool {
    if exists(database + "-wal") || exists(Self.mark(database)) { return true }
    guard exists(database) else { return false }
    let descriptor = open(database, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var start = [UInt8](repeating: 0, count: Self.header.count)
    let count = read(descriptor, &start, start.count)
    return count != 0 && start != Self.header
  }

  /// Creates the database file readable by its user only; SQLite gives its log the same mode.
  func prepareDatabase() throws(JobStoreError) {
    let descriptor = open(database, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.error(errno, path: database) }
    close(descriptor)
  }

  /// Renames the database, its log and the job directories, and returns the database's new path.
  func setAside(unixTime: Int64) throws(JobStoreError) -> String {
    var suffix = ".corrupt-\(unixTime)"
    var round = 1
    while exists(database + suffix) {
      round += 1
      suffix = ".corrupt-\(unixTime)-\(round)"
    }
    for ending in ["", "-wal", "-shm"] where exists(database + ending) {
      guard rename(database + ending, database + suffix + ending) == 0 else {
        throw Self.error(errno, path: database + ending)
      }
    }
    let jobs = directory + "/jobs"
    if exists(jobs), rename(jobs, jobs + suffix) != 0 { throw Self.error(errno, path: jobs) }
    trusted()
    return database + suffix
  }

  /// Makes the next start check the whole database.
  static func suspect(database: String) {
    let descriptor = open(mark(database), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    if descriptor >= 0 { close(descriptor) }
  }

  /// Takes `suspect` back.
  func trusted() { unlink(Self.mark(database)) }

  private static func mark(_ database: String) -> String { database + "-suspect" }

  private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Creates a directory with its parents, mode 0700; the names of new ones are on disk when this returns.
  static func makeDirectory(_ path: String) throws(JobStoreError) {
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    var made = mkdir(path, 0o700) == 0
    if !made, errno == ENOENT, parent != "/", parent != "." {
      try makeDirectory(parent)
      made = mkdir(path, 0o700) == 0
    }
    if made { return try syncDirectory(parent) }
    let code = errno
    var status = stat()
    guard code == EEXIST, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw error(code, path: path)
    }
  }

  private static func syncDirectory(_ path: String) throws(JobStoreError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // A parent that may be entered but not listed cannot be synced, and cannot lose much either.
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw error(errno, path: path) }
  }

  static func error(_ code: Int32, path: String) -> JobStoreError {
    switch code {
    case ENOSPC, EDQUOT: .diskFull(path: path)
    default: .notWritable(path: path, reason: String(cString: strerror(code)))
    }
  }
}

/// The right to use a data directory, held by an open file and given back when the process ends in whatever way.
struct StoreLock: ~Copyable, Sendable {
  private let descriptor: Int32

  /// - Throws: `alreadyInUse` with the pid that the holder wrote down, or `notWritable`.
  init(path: String) throws(JobStoreError) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StoreFiles.error(errno, path: path) }
    // A child that a host killed just now was spawning holds the lock until its exec, an instant later.
    var patience = 100
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK, patience > 0,
      let holder = Self.pid(descriptor), kill(holder, 0) != 0, errno == ESRCH
    {
      usleep(10_000)
      patience -= 1
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      let holder = Self.pid(descriptor)
      close(descriptor)
      if code == EWOULDBLOCK { throw .alreadyInUse(path: path, pid: holder) }
      throw StoreFiles.error(code, path: path)
    }
    let text = Array("\(getpid())\n".utf8)
    guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
      let code = errno
      close(descriptor)
      throw StoreFiles.error(code, path: path)
    }
    self.descriptor = descriptor
  }

  private static func pid(_ descriptor: Int32) -> Int32? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    guard count > 0 else { return nil }
    return Int32(String(decoding: bytes[..<count].prefix { $0 != 0x0A }, as: UTF8.self))
  }

  deinit {
    // Not by closing alone: a child between fork and exec has the same open file.
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }
}
