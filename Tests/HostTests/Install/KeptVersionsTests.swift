import Foundation
import Testing

@testable import Host

@Suite struct KeptVersionsTests {
  private let scratch: ScratchPlugins
  private let catalog = PluginCatalog(searchPath: ["/usr/bin", "/bin"])
  private let directory: String

  init() throws {
    scratch = try ScratchPlugins()
    directory = FilePath.join(scratch.path, ".kept")
  }

  private func plugin(_ name: String = "demo") throws -> Plugin {
    let source = PluginDirectory(path: scratch.path, origin: .home)
    return try #require(catalog.read(FilePath.join(scratch.path, name), source: source).plugin)
  }

  @Test func aCopyOutlivesItsOriginal() throws {
    try scratch.add("demo")
    let large = FilePath.join(scratch.path, "demo/large.so")
    try Data(count: 3 << 20).write(to: URL(fileURLWithPath: large))
    let plugin = try plugin()
    let kept = KeptVersions(directory: directory, catalog: catalog)
    #expect(try kept.keep(plugin))
    #expect(try !kept.keep(plugin))
    let version = try #require(kept.usable("demo"))
    let hash = try plugin.contentHash()
    #expect(version.origin == plugin.fingerprint && version.contentHash == hash)
    #expect(kept.isKept(version.plugin) && !kept.isKept(plugin))
    // Large files are linked, not copied: they cost nothing.
    let copied = FilePath.join(version.plugin.directory, "large.so")
    #expect(FilePath.identity(copied)?.identity.inode == FilePath.identity(large)?.identity.inode)
    FileTree.remove(FilePath.join(scratch.path, "demo"))
    #expect(kept.usable("demo")?.plugin.arguments == [FilePath.join(version.plugin.directory, "engine")])
    // A new life finds it, and forgets what is there no more.
    let next = KeptVersions(directory: directory, catalog: catalog)
    next.load(names: ["demo"])
    #expect(next.usable("demo")?.contentHash == version.contentHash && next.version("demo")?.origin == nil)
    let last = KeptVersions(directory: directory, catalog: catalog)
    last.load(names: [])
    #expect(last.version("demo") == nil && FileTree.names(in: directory).isEmpty)
  }

  @Test func whatWasRewrittenInPlaceIsNotReliedOn() throws {
    try scratch.add("demo")
    let large = FilePath.join(scratch.path, "demo/large.so")
    try Data(count: 3 << 20).write(to: URL(fileURLWithPath: large))
    let kept = KeptVersions(directory: directory, catalog: catalog)
    #expect(try kept.keep(plugin()))
    let handle = try #require(FileHandle(forWritingAtPath: large))
    try handle.write(contentsOf: Data([1, 2, 3]))
    try handle.close()
    #expect(kept.usable("demo") == nil)
  }

  @Test func oneVersionIsKeptBesidesThoseInUse() throws {
    try scratch.add("demo")
    let kept = KeptVersions(directory: directory, catalog: catalog)
    #expect(try kept.keep(plugin()))
    let first = try #require(kept.version("demo"))
    try scratch.add("demo", manifest: ScratchPlugins.manifest("demo", "summary: another"))
    #expect(try kept.keep(plugin()))
    let second = try #require(kept.version("demo"))
    #expect(first.contentHash != second.contentHash)
    let names = { Set(FileTree.names(in: FilePath.join(directory, "demo"))) }
    kept.prune("demo", inUse: [first.plugin])
    #expect(names() == [first.contentHash, second.contentHash])
    kept.prune("demo", inUse: [])
    #expect(names() == [second.contentHash])
    kept.forget("demo")
    kept.prune("demo", inUse: [])
    #expect(FileTree.names(in: directory).isEmpty)
  }

  @Test func whatChangedSinceItStartedIsNotKept() throws {
    try scratch.add("demo")
    let old = try plugin()
    try scratch.add("demo", manifest: ScratchPlugins.manifest("demo", "summary: another"))
    let kept = KeptVersions(directory: directory, catalog: catalog)
    #expect(try !kept.keep(old))
    #expect(kept.version("demo") == nil)
    #expect(mkfifo(scratch.path + "/demo/pipe", 0o600) == 0)
    #expect(throws: ArchiveError.self) { try kept.keep(plugin()) }
    #expect(FileTree.names(in: FilePath.join(directory, "demo")).isEmpty)
  }
}
