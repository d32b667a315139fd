import Foundation
import Testing

@testable import Host

@Suite struct PluginChangeTests {
  private let scratch: ScratchPlugins

  init() throws { scratch = try ScratchPlugins() }

  private func entry(_ name: String = "demo") throws -> CatalogEntry {
    try #require(scratch.scan().entries.first { $0.name == name })
  }
  private func stamp(_ name: String = "demo") -> TreeStamp { TreeStamp(of: FilePath.join(scratch.path, name)) }

  @Test func aNewDirectoryIsTakenUpWhenItStandsStill() throws {
    try scratch.add("demo")
    let entry = try entry()
    var known = PluginChange.Known()
    #expect(PluginChange.decide(known, found: entry, stamp: stamp()) == .wait)
    known.unsettled = stamp()
    #expect(PluginChange.decide(known, found: entry, stamp: stamp()) == .serve)
    try scratch.write("more", to: scratch.path + "/demo/lib.so")
    #expect(PluginChange.decide(known, found: entry, stamp: stamp()) == .wait)
    #expect(PluginChange.decide(known, found: entry, stamp: stamp(), isWhole: true) == .serve)
    known.entry = entry
    #expect(PluginChange.decide(known, found: entry, stamp: stamp()) == .none)
  }

  @Test func aChangeIsProvedOnlyBesideAVersionThatHasStarted() throws {
    try scratch.add("demo")
    var known = PluginChange.Known()
    known.entry = try entry()
    known.isServing = true
    known.serving = known.entry?.plugin?.fingerprint
    try scratch.add("demo", manifest: ScratchPlugins.manifest("demo", "summary: another"))
    let changed = try entry()
    #expect(PluginChange.decide(known, found: changed, stamp: stamp(), isWhole: true) == .serve)
    known.hasStarted = true
    #expect(PluginChange.decide(known, found: changed, stamp: stamp(), isWhole: true) == .prove)
    // What serves is put back.
    known.serving = changed.plugin?.fingerprint
    #expect(PluginChange.decide(known, found: changed, stamp: stamp(), isWhole: true) == .back)
  }

  @Test func whatCannotBeUsedIsTurnedDownOrOff() throws {
    try scratch.add("demo", manifest: ScratchPlugins.manifest("demo", "sumary: x"))
    let bad = try entry()
    var known = PluginChange.Known()
    guard case .off(let reason) = PluginChange.decide(known, found: bad, stamp: stamp(), isWhole: true) else {
      Issue.record("a plugin that cannot be used is not off")
      return
    }
    #expect(reason.contains("unknown key 'sumary'"))
    (known.isServing, known.hasStarted) = (true, true)
    #expect(PluginChange.decide(known, found: bad, stamp: stamp(), isWhole: true) == .turnDown(reason))
    // Two of one name are nobody's mistake that an earlier version could make good.
    #expect(PluginChange.decide(known, found: bad, stamp: stamp(), hasTwin: true, isWhole: true) == .off(reason))
    // Corrected in a file that nothing names: looked at again, once it stands still.
    known.entry = bad
    known.turnedDown = stamp()
    #expect(PluginChange.decide(known, found: bad, stamp: stamp()) == .none)
    try scratch.write("more", to: scratch.path + "/demo/lib.so")
    #expect(PluginChange.decide(known, found: bad, stamp: stamp()) == .wait)
  }

  @Test func objectionsAreTheOperatorsOrTheHosts() throws {
    try scratch.add("demo")
    let entry = try entry()
    var known = PluginChange.Known()
    (known.isServing, known.hasStarted) = (true, true)
    let decide = { (isOperators: Bool) in
      PluginChange.decide(
        known, found: entry, stamp: TreeStamp(of: ""), objection: "says no", isOperators: isOperators, isWhole: true)
    }
    #expect(decide(true) == .off("says no"))
    #expect(decide(false) == .turnDown("says no"))
    known.isServing = false
    #expect(decide(false) == .off("says no"))
  }

  @Test func aTreesStampSeesWhatChanges() throws {
    try scratch.add("demo")
    let before = stamp()
    #expect(before == stamp())
    try scratch.write("x", to: scratch.path + "/demo/__pycache__/a.pyc")
    #expect(before == stamp())
    try scratch.write("x", to: scratch.path + "/demo/lib/deep/a.so")
    let more = stamp()
    #expect(before != more)
    try scratch.write("xy", to: scratch.path + "/demo/lib/deep/a.so")
    #expect(more != stamp())
  }
}
