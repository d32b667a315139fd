import Foundation
import PluginProtocol
import Synchronization
import Testing

@testable import Host

/// The work directory belongs to an engine that may be hostile: what the host puts there stays there.
@Suite(.timeLimit(.minutes(1)))
struct InputHandOverTests {
  private static let task: JSONValue = [
    "aUrl": "data:,a", "bUrl": "data:,b", "text": .string(String(repeating: "x", count: 300_000)),
  ]

  @Test func aWorkDirectoryThatIsALinkGetsNothing() async throws {
    try await InputBench.with { bench in
      let id = try await bench.submit(Self.task)
      let number = try await bench.store.claim(id, engine: "e", pid: nil)
      let work = try bench.store.artifacts.makeWorkDirectory(id, attempt: number)
      let outside = bench.folder.path + "/outside"
      mkdir(outside, 0o700)
      rmdir(work)
      symlink(outside, work)
      let error = await #expect(throws: RPCError.self) {
        try await bench.stage.prepare(id, workDirectory: work, contentFiles: true, attempt: number)
      }
      #expect(error?.failureClass == .resource && error?.message.contains("work directory") == true)
      #expect(FileTree.names(in: outside) == [])
    }
  }

  @Test func aWorkDirectoryThatIsSwappedMeanwhileKeepsItsFiles() async throws {
    try await InputBench.with { bench in
      let id = try await bench.submit(Self.task)
      let number = try await bench.store.claim(id, engine: "e", pid: nil)
      let work = try bench.store.artifacts.makeWorkDirectory(id, attempt: number)
      let (outside, aside) = (bench.folder.path + "/outside", bench.folder.path + "/aside")
      mkdir(outside, 0o700)
      let isSwapped = Atomic<Bool>(false)
      _ = try await bench.stage.prepare(
        id, workDirectory: work, contentFiles: true, attempt: number,
        isCancelled: {
          // Asked while inputs are handed over.
          guard !isSwapped.exchange(true, ordering: .relaxed) else { return false }
          rename(work, aside)
          symlink(outside, work)
          return false
        })
      let wasSwapped = isSwapped.load(ordering: .relaxed)
      #expect(wasSwapped)
      #expect(FileTree.names(in: outside) == [])
      #expect(FileTree.names(in: aside).sorted() == ["input-aUrl.bin", "input-bUrl.bin", "task.json"])
    }
  }
}
