import Foundation
import PluginProtocol
import Testing

@testable import Host

struct ArtifactStoreTests {
  /// One attempt's work directory, and the store beside it.
  private func withAttempt(
    limits: ArtifactLimits = ArtifactLimits(), _ body: (ArtifactStore, JobID, String) async throws -> Void
  ) async throws {
    try await withJobsDirectory { directory async throws in
      let store = try ArtifactStore(directory: directory, limits: limits)
      let id = JobIDGenerator(wallMilliseconds: JobClock.system.wallMilliseconds).next()
      let work = try store.makeWorkDirectory(id, attempt: 1)
      try await body(store, id, work)
    }
  }

  private func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  private func declare(_ name: String, bytes: UInt64 = 3, sha256: String? = nil) -> ArtifactDeclaration {
    ArtifactDeclaration(name: name, contentType: "application/octet-stream", bytes: bytes, sha256: sha256)
  }

  private static let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

  @Test func filesAreTakenByRenameWithTheirHash() async throws {
    try await withAttempt { store, id, work async throws in
      try write("abc", work + "/out.wav")
      try write("", work + "/empty ünïcode.txt")
      try write("scratch", work + "/scratch")
      chmod(work + "/out.wav", 0o4777)
      var before = stat()
      stat(work + "/out.wav", &before)
      let taken = try await store.take(
        [declare("out.wav", sha256: Self.abc.uppercased()), declare("empty ünïcode.txt", bytes: 0)], of: id, attempt: 1)
      #expect(taken.map(\.name) == ["out.wav", "empty ünïcode.txt"])
      #expect(taken[0].sha256 == Self.abc)
      #expect(taken[0].path == store.artifactDirectory(id, attempt: 1) + "/out.wav")
      var after = stat()
      #expect(stat(taken[0].path, &after) == 0)
      #expect(after.st_ino == before.st_ino)
      #expect(after.st_mode & 0o7777 == 0o600)
      #expect(try FileManager.default.contentsOfDirectory(atPath: work) == ["scratch"])
      await store.removeWorkDirectory(id, attempt: 1)
      #expect(!fileExists(work))
    }
  }

  enum Attack: String, CaseIterable {
    case missing, symbolicLink, linkOutside, hardLink, fifo, directory, socket, emptyButDeclared, shorter, longer
    case wrongHash, badHash, dotDot, parentPath, absolute, leadingDot, emptyName, nul, newline, escape, longName
    case deepName, twice, workDirectoryReplaced, workDirectoryGone, hugeSize
  }

  @Test(.timeLimit(.minutes(1)), arguments: Attack.allCases)
  func whatIsNotAPlainFileOfTheDeclaredSizeIsRefused(attack: Attack) async throws {
    try await withAttempt { store, id, work async throws in
      let outside = work + "-outside"
      try write("abc", outside)
      let path = work + "/f"
      var declared = [declare("f")]
      switch attack {
      case .missing: break
      case .symbolicLink:
        try write("abc", work + "/real")
        symlink("real", path)
      case .linkOutside: symlink(outside, path)
      case .hardLink: link(outside, path)
      case .fifo: mkfifo(path, 0o600)
      case .directory: mkdir(path, 0o700)
      case .socket:
        let socket = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        try #require(bytes.count < 108)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) { pointer in
          pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, size) }
        }
        try #require(bound == 0)
      case .emptyButDeclared: try write("", path)
      case .shorter: try write("ab", path)
      case .longer: try write("abcd", path)
      case .wrongHash:
        try write("abc", path)
        declared = [declare("f", sha256: String(repeating: "0", count: 64))]
      case .badHash:
        try write("abc", path)
        declared = [declare("f", sha256: "ba7816bf")]
      case .dotDot: declared = [declare("..")]
      case .parentPath: declared = [declare("../\(id)-1-outside")]
      case .absolute: declared = [declare(outside)]
      case .leadingDot:
        try write("abc", work + "/.f")
        declared = [declare(".f")]
      case .emptyName: declared = [declare("")]
      case .nul:
        try write("abc", path)
        declared = [declare("f\0.png")]
      case .newline: declared = [declare("f\n")]
      case .escape: declared = [declare("\u{1B}[31mf")]
      case .longName: declared = [declare(String(repeating: "n", count: 4096))]
      case .deepName:
        mkdir(work + "/d", 0o700)
        try write("abc", work + "/d/f")
        declared = [declare("d/f")]
      case .twice:
        try write("abc", path)
        declared = [declare("f"), declare("f")]
      case .workDirectoryReplaced:
        mkdir(work + "-other", 0o700)
        try write("abc", work + "-other/f")
        try FileManager.default.removeItem(atPath: work)
        symlink(work + "-other", work)
      case .workDirectoryGone: try FileManager.default.removeItem(atPath: work)
      case .hugeSize: declared = [declare("f", bytes: .max), declare("g", bytes: .max)]
      }
      let error = await #expect(throws: ArtifactError.self) { try await store.take(declared, of: id, attempt: 1) }
      #expect(error?.kind == .badArtifact, "\(String(describing: error))")
      #expect(error?.failure.errorClass == "bad_artifact")
      #expect(error?.description.unicodeScalars.allSatisfy { $0.value >= 0x20 } == true)
      #expect((error?.name.utf8.count ?? 0) < 300)
      #expect(try String(contentsOfFile: outside, encoding: .utf8) == "abc")
      #expect(!fileExists(store.artifactDirectory(id, attempt: 1)))
    }
  }

  @Test func oneBadFileLeavesNoneBehind() async throws {
    try await withAttempt { store, id, work async throws in
      try write("abc", work + "/good")
      let error = await #expect(throws: ArtifactError.self) {
        try await store.take([declare("good"), declare("missing")], of: id, attempt: 1)
      }
      #expect(error?.name == "missing")
      #expect(!fileExists(store.artifactDirectory(id, attempt: 1)))
    }
  }

  @Test func quotasInFilesAndBytes() async throws {
    try await withAttempt(limits: ArtifactLimits(maxFiles: 2, maxBytes: 5)) { store, id, work async throws in
      for name in ["a", "b", "c"] { try write("abc", work + "/" + name) }
      for names in [["a", "b", "c"], ["a", "b"]] {
        let error = await #expect(throws: ArtifactError.self) {
          try await store.take(names.map { declare($0) }, of: id, attempt: 1)
        }
        #expect(error?.kind == .badArtifact)
      }
      // What lies there counts, declared or not.
      let error = await #expect(throws: ArtifactError.self) {
        try await store.take([declare("a")], of: id, attempt: 1)
      }
      #expect(error?.reason.contains("more than the 2 files") == true)
      #expect(unlink(work + "/b") == 0 && unlink(work + "/c") == 0)
      try write("a longer input", work + "/input-inputUrl.wav")
      #expect(try await store.take([declare("a")], of: id, attempt: 1).count == 1)
    }
  }

  @Test func whatIsLeftUndeclaredHasAQuotaToo() async throws {
    try await withAttempt(limits: ArtifactLimits(maxFiles: 3, maxBytes: 5)) { store, id, work async throws in
      mkdir(work + "/d", 0o700)
      try write("abc", work + "/d/f")
      try await store.checkLeavings(of: id, attempt: 1, from: nil)
      try write("abc", work + "/d/g")
      var error = await #expect(throws: ArtifactError.self) {
        try await store.checkLeavings(of: id, attempt: 1, from: nil)
      }
      #expect(error?.description == "the work directory holds 6 bytes, and a job may make 5")
      mkdir(work + "/d/e", 0o700)
      error = await #expect(throws: ArtifactError.self) { try await store.checkLeavings(of: id, attempt: 1, from: nil) }
      #expect(error?.description == "the work directory holds more than the 3 files that a job may make")
      await store.removeWorkDirectory(id, attempt: 1)
      try await store.checkLeavings(of: id, attempt: 1, from: nil)
    }
  }

  @Test func roomIsHadBackFromFilesThatAreHeldOpen() async throws {
    try await withAttempt { store, id, work async throws in
      let outside = work + "-outside"
      try write("abc", outside)
      #expect(link(outside, work + "/linked") == 0 && symlink(outside, work + "/symbolic") == 0)
      try write("much", work + "/held")
      let held = open(work + "/held", O_RDONLY)
      defer { close(held) }
      await store.emptyWorkDirectory(id, attempt: 1)
      var status = stat()
      #expect(fstat(held, &status) == 0 && status.st_size == 0 && status.st_nlink == 0)
      #expect(!fileExists(work))
      #expect(try String(contentsOfFile: outside, encoding: .utf8) == "abc")
    }
  }

  @Test func theDirectoryOfAllWorkIsMadeAnew() async throws {
    try await withAttempt { store, id, work async throws in
      try FileManager.default.removeItem(atPath: (work as NSString).deletingLastPathComponent)
      #expect(fileExists(try store.makeWorkDirectory(id, attempt: 2)))
    }
  }

  /// A writer appends for as long as the host reads: whatever is taken has the declared size and hash, or is refused.
  @Test(.timeLimit(.minutes(1))) func aGrowingFileIsRefused() async throws {
    try await withAttempt { store, id, work async throws in
      let size = 8 << 20
      let path = work + "/f"
      try Data(count: size).write(to: URL(fileURLWithPath: path))
      let script = "printf x >> \"$0\"; echo ready; while printf x >> \"$0\"; do :; done"
      let writer = try JobsTestProcess(["sh", "-c", script, path])
      defer { _ = writer.kill() }
      let greeting = try await offThePool { writer.read() }
      #expect(greeting == Array("ready\n".utf8))
      let error = await #expect(throws: ArtifactError.self) {
        try await store.take([declare("f", bytes: UInt64(size) + 100)], of: id, attempt: 1)
      }
      #expect(error?.kind == .badArtifact)
    }
  }

  @Test func attemptsDoNotMix() async throws {
    try await withAttempt { store, id, work async throws in
      try write("abc", work + "/f")
      _ = try await store.take([declare("f")], of: id, attempt: 1)
      let second = try store.makeWorkDirectory(id, attempt: 2)
      try write("xyz", second + "/f")
      let taken = try await store.take([declare("f")], of: id, attempt: 2)
      #expect(try String(contentsOfFile: taken[0].path, encoding: .utf8) == "xyz")
      await store.removeArtifacts(of: id, attempt: 1)
      #expect(fileExists(taken[0].path))
      await store.remove([id])
      #expect(!fileExists(taken[0].path))
    }
  }

  @Test func removalHandlesWhatEnginesLeave() async throws {
    try await withAttempt { store, id, work async throws in
      let outside = work + "-outside"
      mkdir(outside, 0o700)
      try write("abc", outside + "/kept")
      symlink(outside, work + "/link")
      mkfifo(work + "/fifo", 0)
      mkdir(work + "/d", 0o700)
      try write("abc", work + "/d/file")
      chmod(work + "/d", 0)
      let raw: [CChar] = (work + "/").utf8CString.dropLast() + [-1, -2, 0]
      #expect(creat(raw, 0o600) >= 0)
      await store.removeWorkDirectory(id, attempt: 1)
      #expect(!fileExists(work))
      #expect(fileExists(outside + "/kept"))
    }
  }

  @Test(.enabled(if: SmallDisk.isAvailable)) func aFullDiskIsItsOwnClass() async throws {
    try await withJobsDirectory { directory async throws in
      try await SmallDisk.with(directory + "/small") { home async throws in
        let store = try ArtifactStore(directory: home, limits: ArtifactLimits())
        let id = JobIDGenerator(wallMilliseconds: JobClock.system.wallMilliseconds).next()
        let work = try store.makeWorkDirectory(id, attempt: 1)
        try write("abc", work + "/f")
        // Fill it to the last inode: tmpfs counts them.
        var full = false
        var index = 0
        while !full {
          full = mkdir(home + "/fill-\(index)", 0o700) != 0
          index += 1
        }
        let error = await #expect(throws: ArtifactError.self) {
          try await store.take([declare("f")], of: id, attempt: 1)
        }
        #expect(error?.kind == .resource)
        #expect(error?.failure.errorClass == "resource")
      }
    }
  }
}
