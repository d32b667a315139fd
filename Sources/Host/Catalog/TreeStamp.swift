import Crypto
import Glibc

/// Says whether anything in a directory has changed between two looks: names, sizes, kinds and times of all that is in
/// it. Reads no contents. Only meaningful on this machine.
package struct TreeStamp: Sendable, Equatable {
  /// Entries that are looked at; beyond them a change is not seen.
  static let maxEntries = 20_000
  static let maxDepth = 16

  private let digest: String

  /// Looks at the directory. Never follows a link; what cannot be read counts as empty. Blocks.
  package init(of directory: String) {
    var hash = SHA256()
    var count = 0
    TreeStamp.add(directory, "", 0, &count, &hash)
    digest = hash.finalize().hexText
  }

  private static func add(_ path: String, _ shown: String, _ depth: Int, _ count: inout Int, _ hash: inout SHA256) {
    for name in FileTree.names(in: path).sorted() {
      count += 1
      guard count <= maxEntries else { return }
      // What Python writes beside its sources is no change of them.
      if name == "__pycache__" { continue }
      let child = FilePath.join(path, name)
      var status = stat()
      guard lstat(child, &status) == 0 else { continue }
      let isDirectory = status.st_mode & S_IFMT == S_IFDIR
      // A directory's own time changes with caches in it; its entries speak for it.
      let facts =
        isDirectory
        ? "d"
        : "\(status.st_mode) \(status.st_ino) \(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
      hash.update(data: Array("\(shown)/\(name)\0\(facts)\n".utf8))
      if isDirectory, depth < maxDepth { add(child, "\(shown)/\(name)", depth + 1, &count, &hash) }
    }
  }
}
