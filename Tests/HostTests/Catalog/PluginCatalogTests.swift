import Foundation
import Testing

@testable import Host

@Suite struct PluginCatalogTests {
  @Test func findsPluginsAndNothingElse() throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("llama")
    try scratch.add(".hidden")
    try scratch.write("x", to: scratch.path + "/README.md")
    try scratch.write(ScratchPlugins.manifest("deep"), to: scratch.path + "/a/deep/plugin.yaml")
    try scratch.write(ScratchPlugins.manifest("loose"), to: scratch.path + "/plugin.yaml")
    let snapshot = scratch.scan()
    #expect(snapshot.entries.map(\.name) == ["llama"])
    let plugin = try #require(snapshot.plugin(named: "llama"))
    #expect(plugin.directory == directory && plugin.arguments == [directory + "/engine"])
    #expect(snapshot.diagnostics.isEmpty)
    #expect(snapshot.plugins(serving: .llm, model: "x.gguf").map(\.name) == ["llama"])
    #expect(snapshot.plugins(serving: .llm, model: "x").isEmpty)
    #expect(snapshot.plugins(serving: .image, model: "x.gguf").isEmpty)
  }

  @Test func aBadManifestDisablesOnlyItsOwnPlugin() throws {
    let scratch = try ScratchPlugins()
    try scratch.add("good")
    try scratch.add("bad", manifest: ScratchPlugins.manifest("bad", "sumary: x"))
    let snapshot = scratch.scan()
    #expect(snapshot.plugins.map(\.name) == ["good"])
    #expect(
      snapshot.problems("bad", under: scratch.path) == [
        "bad/plugin.yaml:6:1: unknown key 'sumary'; did you mean 'summary'?"
      ])
  }

  @Test func whatIsNoFileIsRefusedWithoutBlocking() throws {
    let scratch = try ScratchPlugins()
    for name in ["fifo", "directory", "device", "loop", "dangling", "large", "outside", "utf8", "empty"] {
      let path = FilePath.join(scratch.path, name)
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    let manifest = { (name: String) in FilePath.join(scratch.path, name) + "/plugin.yaml" }
    #expect(mkfifo(manifest("fifo"), 0o600) == 0)
    try FileManager.default.createDirectory(atPath: manifest("directory"), withIntermediateDirectories: true)
    try scratch.link("/dev/zero", at: manifest("device"))
    try scratch.link("plugin.yaml", at: manifest("loop"))
    try scratch.link("nowhere", at: manifest("dangling"))
    try scratch.write(String(repeating: "#", count: 65_537), to: manifest("large"))
    try scratch.write(ScratchPlugins.manifest("outside"), to: scratch.path + "/elsewhere.yaml")
    try scratch.link("../elsewhere.yaml", at: manifest("outside"))
    try Data([0x61, 0x3A, 0x20, 0xC3, 0x28]).write(to: URL(fileURLWithPath: manifest("utf8")))
    try scratch.write("", to: manifest("empty"))
    let snapshot = scratch.scan()
    let expected = [
      "fifo": "it is a named pipe, not a file; put a regular file in its place",
      "directory": "it is a directory, not a file; put a regular file in its place",
      "device": "the manifest is a symbolic link out of the plugin's directory; put the file itself there",
      "loop": "cannot be read: its symbolic links go round in a circle",
      "dangling": "cannot be read: it does not exist", "large": "the file is larger than 64KiB; make it smaller",
      "outside": "the manifest is a symbolic link out of the plugin's directory; put the file itself there",
    ]
    for (name, message) in expected {
      #expect(snapshot.problems(name, under: scratch.path) == ["\(name)/plugin.yaml: \(message)"])
    }
    #expect(
      snapshot.problems("utf8", under: scratch.path) == [
        "utf8/plugin.yaml:1:4: not UTF-8 text; save the file as UTF-8"
      ])
    #expect(snapshot.problems("empty", under: scratch.path)?.count == 1)
    #expect(snapshot.plugins.isEmpty)
  }

  @Test func aSparseGigabyteCostsNothing() throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("huge")
    #expect(truncate(directory + "/plugin.yaml", 1 << 30) == 0)
    let time = ContinuousClock().measure { #expect(scratch.scan().plugins.isEmpty) }
    #expect(time < .seconds(1))
  }

  @Test func programsStayInsideThePlugin() throws {
    let scratch = try ScratchPlugins()
    try scratch.write("#!/bin/sh\n", to: scratch.path + "/outside")
    for (name, command) in [
      ("absolute", "[/bin/sh]"), ("dotdot", "[./../outside]"), ("linked", "[./engine]"), ("missing", "[./engine]"),
      ("folder", "[./sub]"), ("bare", "[engine]"), ("unknown", "[no-such-program-here]"),
    ] {
      try scratch.add(name, manifest: ScratchPlugins.manifest(name, command: command), program: nil)
    }
    try scratch.link("../outside", at: scratch.path + "/linked/engine")
    try scratch.write("", to: scratch.path + "/folder/sub/x")
    try scratch.write("", to: scratch.path + "/bare/engine")
    let snapshot = scratch.scan()
    let expected = [
      "absolute":
        "'/bin/sh' is an absolute path; "
        + "use a path inside the plugin's directory (./engine) or a program's name (python3)",
      "dotdot": "'./../outside' leads out of the plugin's directory; put the program inside it",
      "linked": "'./engine' leads out of the plugin's directory; put the program inside it",
      "missing": "'./engine' cannot be used: it does not exist; build or copy it",
      "folder": "'./sub' is not a regular file",
      "bare": "no program 'engine' is in PATH; for the one in the plugin's directory write ./engine",
      "unknown": "no program 'no-such-program-here' is in PATH; install it, or correct the name",
    ]
    for (name, message) in expected {
      #expect(snapshot.problems(name, under: scratch.path) == ["\(name)/plugin.yaml:4:11: command: \(message)"])
    }
  }

  @Test func programsAreFoundInThePathAndThroughInnerLinks() throws {
    let scratch = try ScratchPlugins()
    let script = try scratch.add("script", manifest: ScratchPlugins.manifest("script", command: "[sh, engine]"))
    let linked = try scratch.add("linked", manifest: ScratchPlugins.manifest("linked", command: "[bin/run]"))
    try FileManager.default.createDirectory(atPath: linked + "/bin", withIntermediateDirectories: true)
    try scratch.link("../engine", at: linked + "/bin/run")
    let snapshot = scratch.scan()
    let plugin = try #require(snapshot.plugin(named: "script"))
    #expect(plugin.arguments.last == "engine" && plugin.executable.path.hasSuffix("/bin/sh"))
    #expect(plugin.files == [script + "/engine"])
    #expect(snapshot.plugin(named: "linked")?.executable.path == linked + "/engine")
  }

  @Test func twoPluginsWithOneNameAreBothDisabledAndNamed() throws {
    let scratch = try ScratchPlugins()
    let first = try scratch.add("llama", root: "a")
    let second = try scratch.add("llama", root: "b")
    try scratch.add("broken", manifest: "x", root: "a")
    try scratch.add("broken", root: "b")
    let snapshot = PluginCatalog(searchPath: []).scan([scratch.search("a", .commandLine), scratch.search("b")])
    let messages: [[String]] = snapshot.entries.filter { $0.name == "llama" }.map { entry in
      guard case .disabled(let all) = entry.state else { return [] }
      return all.map(\.description)
    }
    #expect(
      messages == [
        ["\(first)/plugin.yaml: the plugin name 'llama' is also used by \(second); remove or rename one of them"],
        ["\(second)/plugin.yaml: the plugin name 'llama' is also used by \(first); remove or rename one of them"],
      ])
    #expect(snapshot.plugin(named: "broken")?.source.path == scratch.path + "/b")
  }

  @Test func oneDirectoryReachedTwiceIsOnePlugin() throws {
    let scratch = try ScratchPlugins()
    try scratch.add("llama", root: "a")
    try scratch.link("a", at: scratch.path + "/b")
    let snapshot = PluginCatalog(searchPath: []).scan([scratch.search("a"), scratch.search("b"), scratch.search("a")])
    #expect(snapshot.plugins.map(\.source.path) == [scratch.path + "/a"])
  }

  @Test func precedenceIsTheOrderOfDirectories() throws {
    let scratch = try ScratchPlugins()
    try scratch.add("aaa", root: "late")
    try scratch.add("zzz", root: "early")
    let snapshot = PluginCatalog(searchPath: []).scan([scratch.search("early"), scratch.search("late")])
    #expect(snapshot.plugins(serving: .llm, model: "m.gguf").map(\.name) == ["zzz", "aaa"])
  }

  @Test func missingDirectoriesMatterOnlyWhenNamed() throws {
    let scratch = try ScratchPlugins()
    let catalog = PluginCatalog(searchPath: [])
    #expect(catalog.scan([scratch.search("none")]).diagnostics.isEmpty)
    let named = catalog.scan([scratch.search("none", .commandLine)])
    #expect(named.diagnostics.count == 1)
    #expect(named.diagnostics.first?.message.contains("--plugins") == true)
  }

  @Test func versionsAreToldApart() throws {
    let scratch = try ScratchPlugins()
    let directory = try scratch.add("llama", manifest: ScratchPlugins.manifest("llama", command: "[sh, engine]"))
    let before = try #require(scratch.scan().plugin(named: "llama"))
    #expect(scratch.scan().plugin(named: "llama") == before)
    #expect(try before.contentHash() == before.contentHash())
    try scratch.write("#!/bin/sh\nexit 3\n", to: directory + "/engine")
    let after = try #require(scratch.scan().plugin(named: "llama"))
    #expect(after.fingerprint != before.fingerprint)
    let hash = try after.contentHash()
    try scratch.write(
      ScratchPlugins.manifest("llama", "# note", command: "[sh, engine]"), to: directory + "/plugin.yaml")
    #expect(try scratch.scan().plugin(named: "llama")?.contentHash() != hash)
  }

  @Test func aPinHoldsTheProgramFast() throws {
    let scratch = try ScratchPlugins()
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  // of no bytes
    try scratch.add("right", manifest: ScratchPlugins.manifest("right", "sha256: \(digest)"), program: "")
    try scratch.add("wrong", manifest: ScratchPlugins.manifest("wrong", "sha256: \(digest)"), program: "x")
    let snapshot = scratch.scan()
    #expect(snapshot.plugins.map(\.name) == ["right"])
    #expect(snapshot.problems("wrong", under: scratch.path)?.first?.contains("the manifest demands \(digest)") == true)
  }

  @Test func crowdedDirectoriesAreBounded() throws {
    let scratch = try ScratchPlugins()
    for name in ["c", "b", "a"] { try scratch.add(name) }
    // What is no plugin takes nobody's place.
    for number in 0..<100 { try scratch.write("", to: "\(scratch.path)/0-\(number)/other") }
    let snapshot = PluginCatalog(searchPath: [], maxEntries: 2).scan([scratch.search()])
    #expect(snapshot.plugins.map(\.name) == ["a", "b"])
    #expect(
      snapshot.diagnostics.map(\.message) == ["more than 2 plugins; the rest is not searched"])
  }

  @Test func manifestBombsEndSoon() throws {
    let scratch = try ScratchPlugins()
    var alias = "a: &a [x]\n"
    for index in 0..<20 { alias += "b\(index): &b\(index) [*a,*a]\n" }
    let bombs = [
      alias, String(repeating: "[", count: 60_000), String(repeating: "- ", count: 30_000),
      String(repeating: "{a: ", count: 15_000), String(repeating: "? ", count: 30_000),
      String(repeating: "a,", count: 30_000), "[" + String(repeating: "a,", count: 30_000),
      "\"" + String(repeating: "\\u0041", count: 10_000), (0..<6000).map { "k\($0): 1\n" }.joined(),
      "x: " + String(repeating: "'", count: 60_000),
    ]
    for (index, bomb) in bombs.enumerated() { try scratch.add("bomb-\(index)", manifest: bomb) }
    try scratch.add("good")
    let time = ContinuousClock().measure { #expect(scratch.scan().plugins.map(\.name) == ["good"]) }
    #expect(time < .seconds(10))
  }
}
