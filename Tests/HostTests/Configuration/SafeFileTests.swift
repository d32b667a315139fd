import Foundation
import Testing

@testable import Host

@Suite struct SafeFileTests {
  @Test func readsARegularFile() throws {
    let scratch = try ScratchPlugins()
    let path = scratch.path + "/a"
    try scratch.write("hello", to: path)
    let contents = try SafeFile.read(path, maxBytes: 5)
    #expect(contents.bytes == Array("hello".utf8) && contents.identity.size == 5)
    #expect(contents.identity == FilePath.identity(path)?.identity)
    #expect(throws: SafeFile.ReadError(path: path, reason: .tooLarge(limit: 4))) {
      try SafeFile.read(path, maxBytes: 4)
    }
  }

  /// Files of /proc say that they are empty and are not: the cap must hold while reading.
  @Test func theCapHoldsWhateverTheFileSaysOfItself() {
    #expect(throws: SafeFile.ReadError(path: "/proc/self/status", reason: .tooLarge(limit: 10))) {
      try SafeFile.read("/proc/self/status", maxBytes: 10)
    }
  }

  @Test func refusesEverythingElse() throws {
    let scratch = try ScratchPlugins()
    #expect(mkfifo(scratch.path + "/fifo", 0o600) == 0)
    try scratch.link("fifo", at: scratch.path + "/link")
    for (path, reason) in [
      (scratch.path + "/fifo", SafeFile.ReadError.Reason.notRegular("named pipe")),
      (scratch.path + "/link", .notRegular("named pipe")), (scratch.path, .notRegular("directory")),
      ("/dev/zero", .notRegular("device")), (scratch.path + "/none", .notFound),
    ] {
      #expect(throws: SafeFile.ReadError(path: path, reason: reason)) { try SafeFile.read(path, maxBytes: 1 << 20) }
    }
  }
}
