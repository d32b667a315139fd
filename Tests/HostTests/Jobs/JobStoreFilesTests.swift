import Foundation
import Testing

@testable import Host

struct JobStoreFilesTests {
  @Test func oneProcessAtATime() async throws {
    try await withJobsDirectory { directory async throws in
      let store = try JobStore.open(directory: directory)
      let error = #expect(throws: JobStoreError.self) { try JobStore.open(directory: directory) }
      #expect(error == .alreadyInUse(path: directory + "/stoker.lock", pid: getpid()))
      #expect("\(try #require(error))".hasPrefix("another stoker run uses this home (pid \(getpid()))"))
      try store.close()
      try JobStore.open(directory: directory).close()
    }
  }

  enum Damage: CaseIterable { case notADatabase, zeroedPages, truncated, wildLog }

  @Test(arguments: Damage.allCases)
  func aDamagedDatabaseIsKeptAsideAndSaidSo(damage: Damage) async throws {
    try await withJobsDirectory { directory async throws in
      let database = directory + "/jobs.sqlite"
      let id = try await withJobStore(directory) { store async throws in
        var last = store.newID()
        for _ in 0..<200 { last = try await store.submit(.sample(String(repeating: "x", count: 300))).id }
        _ = try store.artifacts.makeInputDirectory(last)
        return last
      }
      var bytes = try Data(contentsOf: URL(fileURLWithPath: database))
      switch damage {
      case .notADatabase: bytes = Data("this was a database once".utf8)
      case .zeroedPages: bytes.resetBytes(in: 8192..<bytes.count - 4096)
      case .truncated: bytes = bytes.prefix(bytes.count / 2)
      case .wildLog: bytes.replaceSubrange(4096..<16384, with: Data(repeating: 0xA5, count: 12288))
      }
      try bytes.write(to: URL(fileURLWithPath: database))
      // Damage in the middle is looked for after a crash, which leaves a log behind.
      try Data().write(to: URL(fileURLWithPath: database + "-wal"))
      let clock = JobsTestClock()
      try await withJobStore(directory, clock: clock.clock) { store async throws in
        #expect(store.openReport.corruptedKept == database + ".corrupt-1700000000")
        #expect(store.openReport.corruption?.isEmpty == false)
        #expect(fileExists(database + ".corrupt-1700000000"))
        #expect(fileExists(directory + "/jobs.corrupt-1700000000/\(id)/inputs"))
        #expect(try await store.jobs().isEmpty)
        _ = try await store.submit(.sample())
      }
      try await withJobStore(directory) { store async throws in
        #expect(store.openReport.corruptedKept == nil)
        #expect(store.counts[.queued] == 1)
      }
    }
  }

  @Test func filesArePrivate() async throws {
    try await withJobsDirectory { directory async throws in
      let home = directory + "/a/b"
      try await withJobStore(home) { store async throws in
        _ = try await store.submit(.sample())
        for (name, mode) in [
          ("", 0o700), ("/jobs.sqlite", 0o600), ("/jobs.sqlite-wal", 0o600), ("/stoker.lock", 0o600),
        ] {
          let attributes = try FileManager.default.attributesOfItem(atPath: home + name)
          #expect(attributes[.posixPermissions] as? Int == mode, "\(name)")
        }
      }
      #expect(!fileExists(home + "/jobs.sqlite-wal"))
    }
  }

  @Test func aPlaceThatCannotBeWrittenIsNamed() async throws {
    let error = #expect(throws: JobStoreError.self) { try JobStore.open(directory: "/proc/stoker-test") }
    guard case .notWritable(path: "/proc/stoker-test", _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    try await withJobsDirectory { directory async throws in
      try Data("x".utf8).write(to: URL(fileURLWithPath: directory + "/file"))
      #expect(throws: JobStoreError.notWritable(path: directory + "/file", reason: "File exists")) {
        try JobStore.open(directory: directory + "/file")
      }
    }
  }

  /// Needs the right to mount a small file system; elsewhere it is skipped.
  @Test(.enabled(if: SmallDisk.isAvailable))
  func aFullDiskIsSaidSoAndNothingAcknowledgedIsLost() async throws {
    try await withJobsDirectory { directory async throws in
      try await SmallDisk.with(directory + "/small") { home async throws in
        var accepted: [JobID] = []
        try await withJobStore(home) { store async throws in
          var refusal: JobStoreError?
          while refusal == nil {
            do throws(JobStoreError) {
              accepted.append(try await store.submit(.sample(String(repeating: "x", count: 10_000))).id)
            } catch {
              refusal = error
            }
          }
          guard case .diskFull = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
          }
          #expect(store.counts[.queued] == accepted.count)
          let index = try await store.queuedIndex()
          #expect(index.map(\.id) == accepted)
        }
        try FileManager.default.removeItem(atPath: home + "/ballast")
        try await withJobStore(home) { store async throws in
          #expect(store.openReport.corruptedKept == nil)
          #expect(try await store.queuedIndex().map(\.id) == accepted)
          _ = try await store.submit(.sample())
        }
      }
    }
  }
}

/// A file system of 4 MiB and 64 inodes, 1 MiB of it taken by a file named `ballast`.
enum SmallDisk {
  static let isAvailable: Bool = {
    guard getuid() == 0 else { return false }
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-mount-\(getpid())").path
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: path) }
    guard run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path) else { return false }
    return run("umount", path)
  }()

  static func with(_ path: String, _ body: (String) async throws -> Void) async throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    #expect(run("mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=64", "tmpfs", path))
    defer { #expect(run("umount", path)) }
    try Data(repeating: 1, count: 1 << 20).write(to: URL(fileURLWithPath: path + "/ballast"))
    try await body(path)
  }

  private static func run(_ arguments: String...) -> Bool {
    guard let process = try? JobsTestProcess(arguments) else { return false }
    return process.wait().status == 0
  }
}
