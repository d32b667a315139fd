import Foundation
import Glibc
import Testing

@testable import Host

/// Trees that an engine made, to be hard to count or to remove.
struct FileTreeTests {
  private func withScratch(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-tree-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    defer { FileTree.remove(path) }
    try body(path)
  }

  @Test func whatIsDeeperThanDescriptorsMayBeOpenIsRemovedToo() throws {
    try withScratch { path in
      let tree = path + "/tree"
      var directory = open(path, O_RDONLY | O_DIRECTORY)
      for level in 0..<1000 {
        let name = level == 0 ? "tree" : "d"
        try #require(mkdirat(directory, name, 0o700) == 0)
        let inner = openat(directory, name, O_RDONLY | O_DIRECTORY)
        try #require(inner >= 0)
        close(directory)
        directory = inner
      }
      close(openat(directory, "f", O_CREAT | O_WRONLY, 0o600))
      close(directory)
      // Nobody can say how much is in it, so it is too much.
      #expect(FileTree.usedBytes(tree, enough: 1 << 30) > 1 << 30)
      #expect(FileTree.extent(of: tree, maxEntries: 100_000, skipping: { _ in false }).entries > 100_000)
      FileTree.remove(tree)
      #expect(FileTree.names(in: path).isEmpty)
    }
  }

  @Test func namesTakeRoomEvenOfEmptyFiles() throws {
    try withScratch { path in
      for number in 0..<100 { close(open("\(path)/\(number)", O_CREAT | O_WRONLY, 0o600)) }
      #expect(FileTree.usedBytes(path, enough: 1 << 30) >= 100 * 1024)
    }
  }

  @Test(.enabled(if: getuid() != 0, "root may look into every directory"))
  func aDirectoryThatIsClosedToTheHostIsTooMuch() throws {
    try withScratch { path in
      try #require(mkdir(path + "/closed", 0o300) == 0)
      #expect(FileTree.usedBytes(path, enough: 1 << 30) > 1 << 30)
    }
  }
}
