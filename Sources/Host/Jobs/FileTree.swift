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
  package static func remove(_ path: String) { remove(path.utf8CString.map { $0 }, in: AT_FDCWD, depth: 0) }

  /// Deeper trees than this are left: each level holds a descriptor open.
  private static let maxDepth = 256

  private static func remove(_ name: [CChar], in parent: Int32, depth: Int) {
    if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return }
    guard depth < maxDepth else { return }
    var descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if descriptor < 0, errno == EACCES {
      // An engine may take its own rights away.
      fchmodat(parent, name, 0o700, 0)
      descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    guard descriptor >= 0 else { return }
    fchmod(descriptor, 0o700)
    let again = dup(descriptor)
    if again >= 0 {
      for entry in names(again) { remove(entry, in: descriptor, depth: depth + 1) }
    }
    close(descriptor)
    unlinkat(parent, name, AT_REMOVEDIR)
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
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { pointer in
          Array(UnsafeBufferPointer(start: pointer, count: strlen(pointer) + 1))
        }
      }
      let dot = CChar(UInt8(ascii: "."))
      if name != [dot, 0], name != [dot, dot, 0] { names.append(name) }
    }
    return names
  }
}
