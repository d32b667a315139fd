import ArgumentParser
import Host
import PluginProtocol

/// `stoker plugins quarantine`.
struct PluginsQuarantineCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quarantine", abstract: "Look at plugins that kept failing, and let them serve again.",
    discussion: """
      A plugin whose engine keeps dying is taken out of service: that version of it, known by the hash of its manifest and
      program. It serves again when its files change, or when its quarantine is lifted.

      EXAMPLES
        stoker plugins quarantine list
        stoker plugins quarantine lift llama
      """,
    subcommands: [PluginsQuarantineListCommand.self, PluginsQuarantineLiftCommand.self],
    defaultSubcommand: PluginsQuarantineListCommand.self)
}

/// `stoker plugins quarantine list`.
struct PluginsQuarantineListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List quarantined plugins.",
    discussion: """
      Needs no running worker. --json has the evidence, too: signal or exit status, the last lines of stderr, the last
      frames on the wire. So has `stoker plugins inspect NAME`.

      EXAMPLES
        stoker plugins quarantine list
        stoker plugins quarantine list --json
      """)
  @OptionGroup var global: GlobalOptions

  func run() async throws {
    let answer: JSONValue
    do {
      answer = try await global.worker().call("plugins/quarantine/list")
    } catch ControlError.noWorker {
      let marks = try Quarantines.marks(global)
      answer = ["quarantined": .array(marks.quarantines.map { QuarantineView($0.hash, $0.mark).json })]
    }
    if global.json { return try global.console.json(answer) }
    let quarantined = answer["quarantined"]?.array ?? []
    if quarantined.isEmpty { return global.console.note("no plugin is quarantined") }
    for line in Quarantines.table(quarantined, now: Wall.now()).lines(for: global.console) {
      try global.console.line(line)
    }
  }
}

/// `stoker plugins quarantine lift`.
struct PluginsQuarantineLiftCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lift", abstract: "Let a quarantined plugin serve again.",
    discussion: """
      NAME lifts every quarantine of that plugin; a content hash, or the first eight letters of one, that version's alone.
      Without a running worker it holds from the next start on. A plugin that is also disabled stays so.

      EXAMPLES
        stoker plugins quarantine lift llama
        stoker plugins quarantine lift 3f9a0c1e
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The plugin, or its content hash.", valueName: "name|hash")) var target: String

  func run() async throws {
    let answer = try await CLIError.naming { try await lift() }
    if global.json { return try global.console.json(answer) }
    guard !global.quiet else { return }
    for lifted in answer["lifted"]?.array ?? [] {
      let name = lifted["name"]?.string ?? "?"
      let hash = lifted["contentHash"]?.string?.prefix(12) ?? ""
      try global.console.line(global.console.shown("\(name) \(hash): the quarantine is lifted"))
    }
  }

  private func lift() async throws -> JSONValue {
    do {
      return try await global.worker().call("plugins/quarantine/lift", ["plugin": .string(target)])
    } catch ControlError.noWorker {
      let marks = try Quarantines.marks(global)
      let lifted = try marks.lift(target)
      guard !lifted.isEmpty else { throw QuarantineView.unknown(target, among: marks.quarantines) }
      return ["lifted": .array(lifted.map { QuarantineView($0.hash, $0.mark).json })]
    }
  }
}

/// Quarantines, for people and without a worker.
enum Quarantines {
  static func table(_ quarantined: [JSONValue], now: Int64) -> Table {
    var table = Table([
      .init(title: "PLUGIN"), .init(title: "HASH"), .init(title: "SINCE"), .init(title: "REASON", isFlexible: true),
    ])
    for entry in quarantined {
      table.add([
        entry["name"]?.string ?? "?", String(entry["contentHash"]?.string?.prefix(12) ?? ""),
        Human.relative(entry["since"]?.string, now: now), entry["reason"]?.string ?? "",
      ])
    }
    return table
  }

  /// The marks of a home whose worker does not run.
  ///
  /// - Throws: when the file cannot be used: it is not ours to begin anew.
  static func marks(_ global: GlobalOptions) throws -> PluginMarks {
    let state = try global.located().bare.stateDirectory
    var problem: String?
    let marks = PluginMarks(path: FilePath.join(state, "plugins.json")) { problem = $0 }
    if let problem { throw CLIError.failed(problem) }
    return marks
  }
}
