#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Directories that engines filled: walked by descriptor, so that a link put in the way leads nowhere else.
package enum FileTree {
  /// The entries of a directory; none when it cannot be read.
  package static func names(in path: String) -> [String] {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    return names(descriptor).map { String(decoding: $0.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self) }
  }

  /// Removes a file, a link, or a directory with all it holds. What cannot be removed stays; the next start tries again.
  ///
  /// - Parameter emptying: files are emptied first, so that their room is had even while some process holds them open. Files
  ///   that have another name elsewhere keep their content.
  package static func remove(_ path: String, emptying: Bool = false) {
    let name = path.utf8CString.map { $0 }
    // Each round takes off as many levels as may be open at a time.
    for _ in 0..<rounds {
      var hasMore = false
      remove(name, in: AT_FDCWD, depth: 0, top: -1, emptying: emptying, &hasMore)
      if !hasMore { return }
    }
  }

  /// What a directory holds, as far as it was counted.
  struct Extent: Sendable, Equatable {
    /// Files, links, directories and whatever else has a name.
    var entries = 0
    /// Bytes of regular files.
    var bytes: Int64 = 0
  }

  /// Counts what is below a directory, its names at the top that `skipping` names left out; ends beyond `maxEntries`.
  static func extent(of path: String, maxEntries: Int, skipping: (String) -> Bool) -> Extent {
    var extent = Extent()
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if descriptor >= 0 { measure(descriptor, &extent, maxEntries, skipping, depth: 0) }
    return extent
  }

  /// Takes over the descriptor.
  private static func measure(
    _ descriptor: Int32, _ extent: inout Extent, _ maxEntries: Int, _ skipping: (String) -> Bool, depth: Int
  ) {
    guard let stream = fdopendir(descriptor) else {
      close(descriptor)
      return
    }
    defer { closedir(stream) }
    while extent.entries <= maxEntries, let entry = readdir(stream) {
      let name = FileTree.name(entry)
      let text = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      if text == "." || text == ".." || (depth == 0 && skipping(text)) { continue }
      extent.entries += 1
      var status = stat()
      guard fstatat(dirfd(stream), name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFREG {
        extent.bytes = extent.bytes.addingReportingOverflow(Int64(status.st_size)).partialValue
      } else if status.st_mode & S_IFMT == S_IFDIR {
        let inner =
          depth < maxDepth ? openat(dirfd(stream), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1
        // What cannot be looked into is more than is allowed.
        if depth >= maxDepth || (inner < 0 && errno == EACCES) { extent.entries = maxEntries + 1 }
        if inner >= 0 { measure(inner, &extent, maxEntries, skipping, depth: depth + 1) }
      }
    }
  }

  /// Levels that are walked at a time: each holds a descriptor open.
  private static let maxDepth = 256

  private static func empty(_ name: [CChar], in parent: Int32) {
    var status = stat()
    guard fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
    let file = openat(parent, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    // Asked again of what was opened: the name may have been given to something else.
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else { return }
    ftruncate(file, 0)
  }

  /// Rounds of the removal of one tree, of `maxDepth` levels each.
  private static let rounds = 100_000

  /// - Parameters:
  ///   - top: the directory that is removed as a whole; -1 for that one itself.
  ///   - hasMore: set when what lay too deep has been moved up there.
  private static func remove(
    _ name: [CChar], in parent: Int32, depth: Int, top: Int32, emptying: Bool, _ hasMore: inout Bool
  ) {
    if emptying { empty(name, in: parent) }
    if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return }
    guard depth < maxDepth else {
      let place = ".deep-\(UInt64.random(in: 0 ... .max))".utf8CString.map { $0 }
      if renameat(parent, name, top, place) == 0 { hasMore = true }
      return
    }
    var descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if descriptor < 0, errno == EACCES { descriptor = openClosed(name, in: parent) }
    guard descriptor >= 0 else { return }
    fchmod(descriptor, 0o700)
    let again = dup(descriptor)
    if again >= 0 {
      for entry in names(again) {
        remove(
          entry, in: descriptor, depth: depth + 1, top: depth == 0 ? descriptor : top, emptying: emptying, &hasMore)
      }
    }
    close(descriptor)
    unlinkat(parent, name, AT_REMOVEDIR)
  }

  /// `O_PATH` of linux/fcntl.h, which Glibc hides.
  private static let pathOnly: Int32 = 0o10000000

  /// Opens a directory of which an engine has taken the rights away. The one that was found is changed, whatever has been
  /// put in its place meanwhile.
  private static func openClosed(_ name: [CChar], in parent: Int32) -> Int32 {
    let place = openat(parent, name, pathOnly | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard place >= 0 else { return -1 }
    defer { close(place) }
    chmod("/proc/self/fd/\(place)", 0o700)
    return openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  }

  /// Bytes of disk that a directory takes with all it holds. Stops counting above `enough`. A file with several names
  /// counts with each: an engine gains nothing by it, and loses nothing that it needs.
  static func usedBytes(_ path: String, enough: Int64) -> Int64 {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    // What its owner has closed to the host has no honest size.
    if descriptor < 0 { return errno == EACCES ? enough + 1 : 0 }
    return usedBytes(descriptor, enough: enough, depth: 0)
  }

  /// Takes over the descriptor.
  private static func usedBytes(_ directory: Int32, enough: Int64, depth: Int) -> Int64 {
    defer { close(directory) }
    let again = dup(directory)
    guard again >= 0 else { return 0 }
    var used: Int64 = 0
    for name in names(again) where used <= enough {
      var status = stat()
      guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
      // A name is room, too, even of an empty file.
      used += max(Int64(status.st_blocks) * 512, 1024)
      guard status.st_mode & S_IFMT == S_IFDIR else { continue }
      guard depth < maxDepth else { return enough + 1 }
      let inner = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if inner < 0, errno == EACCES { return enough + 1 }
      if inner >= 0 { used += usedBytes(inner, enough: enough - used, depth: depth + 1) }
    }
    return used
  }

  /// Takes over the descriptor. The names are bytes ended by NUL: an engine need not write UTF-8.
  private static func names(_ descriptor: Int32) -> [[CChar]] {
    guard let stream = fdopendir(descriptor) else {
      close(descriptor)
      return []
    }
    defer { closedir(stream) }
    var names: [[CChar]] = []
    while let entry = readdir(stream) {
      let name = FileTree.name(entry)
      let dot = CChar(UInt8(ascii: "."))
      if name != [dot, 0], name != [dot, dot, 0] { names.append(name) }
    }
    return names
  }

  /// An entry's name with its NUL. An entry may be shorter than its type says: no byte after the NUL is read.
  private static func name(_ entry: UnsafeMutablePointer<dirent>) -> [CChar] {
    withUnsafePointer(to: &entry.pointee.d_name) { pointer in
      pointer.withMemoryRebound(to: CChar.self, capacity: 256) { pointer in
        Array(UnsafeBufferPointer(start: pointer, count: strlen(pointer) + 1))
      }
    }
  }
}
