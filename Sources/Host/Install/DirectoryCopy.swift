import Glibc
import PluginProtocol

/// Copies a plugin's directory: regular files, directories, and symbolic links that stay inside. Anything else is
/// refused by name, as it is in an archive.
struct DirectoryCopy {
  /// How a file comes to its copy.
  enum Way {
    /// Its own blocks, or shared ones where the file system can share.
    case copy
    /// A hard link where that is possible, else as `copy`: for what is large and replaced rather than rewritten.
    case link
  }

  var limits = ArchiveLimits()
  /// Asked for each file by its path below the root and its size.
  var way: (_ path: String, _ bytes: Int64) -> Way = { _, _ in .copy }
  /// Throws to end the copy.
  var checkpoint: () throws -> Void = {}

  /// Files that were linked rather than copied, by their paths below the root.
  private(set) var linked: [String] = []
  private var index: ArchiveIndex
  private var bytes: Int64 = 0
  private var links: [(path: String, target: String)] = []

  init(limits: ArchiveLimits = ArchiveLimits()) {
    self.limits = limits
    index = ArchiveIndex(limits: limits)
  }

  /// Copies what is in `source` into `target`, which is made.
  ///
  /// - Throws: `ArchiveError`, or what `checkpoint` throws. What was copied until then is left to the caller.
  mutating func run(from source: String, to target: String) throws {
    guard mkdir(target, 0o755) == 0 else { throw failure("make", target) }
    try walk(source, target, [])
    for (path, destination) in try index.finish() {
      guard symlink(destination, FilePath.join(target, path)) == 0 else { throw failure("make", path) }
    }
  }

  private mutating func walk(_ source: String, _ target: String, _ above: [String]) throws {
    try checkpoint()
    for name in FileTree.names(in: above.reduce(source, FilePath.join)).sorted() {
      let components = try index.components(Array((above + [name]).joined(separator: "/").utf8))
      let path = components.joined(separator: "/")
      let from = FilePath.join(source, path)
      let to = FilePath.join(target, path)
      var status = stat()
      guard lstat(from, &status) == 0 else { throw failure("look at", from) }
      switch status.st_mode & S_IFMT {
      case S_IFDIR:
        // Made again by the engine when it is needed, and not the author's.
        if name == "__pycache__" || name == ".git" { continue }
        _ = try index.directory(components)
        guard mkdir(to, 0o755) == 0 else { throw failure("make", to) }
        try walk(source, target, components)
      case S_IFREG:
        guard status.st_mode & 0o6000 == 0 else { throw ArchiveError(path, "sets the user or group that it runs as") }
        _ = try index.file(components)
        try file(path, from, to, Int64(status.st_size))
      case S_IFLNK:
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
          bytes.withMemoryRebound(to: CChar.self) { text in
            text.baseAddress.map { readlink(from, $0, text.count) } ?? -1
          }
        }
        guard count > 0 else { throw failure("read", from) }
        _ = try index.link(components, target: Array(buffer.prefix(count)))
      case S_IFIFO: throw ArchiveError(path, "is a named pipe")
      default: throw ArchiveError(path, "is a device or a socket")
      }
    }
  }

  private mutating func file(_ path: String, _ from: String, _ to: String, _ size: Int64) throws {
    if case .link = way(path, size), link(from, to) == 0 {
      linked.append(path)
      return
    }
    bytes += size
    guard bytes <= limits.unpackedBytes else {
      throw ArchiveError("the directory has more than \(ByteSize.text(limits.unpackedBytes)) to copy")
    }
    let input = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard input >= 0 else { throw failure("read", from) }
    defer { close(input) }
    var status = stat()
    guard fstat(input, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw ArchiveError(path, "changed while it was copied")
    }
    let mode: mode_t = status.st_mode & 0o111 == 0 ? 0o644 : 0o755
    let output = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
    guard output >= 0 else { throw failure("make", to) }
    defer { close(output) }
    // The umask must not take away what others of the same installation need.
    fchmod(output, mode)
    let copied = try FileCopy.copy(input, into: output, limit: size, checkpoint: { _ in try checkpoint() })
    guard copied == size else { throw ArchiveError(path, "changed while it was copied") }
  }

  private func failure(_ what: String, _ path: String) -> ArchiveError {
    ArchiveError("cannot \(what) \(path): \(errorText(errno))")
  }
}
