import ArgumentParser
import Host
import PluginProtocol

/// `stoker plugins`.
struct PluginsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugins", abstract: "Look at plugins, and switch them.",
    discussion: """
      EXAMPLES
        stoker plugins
        stoker plugins inspect llama
        stoker plugins quarantine list
        stoker plugins lint ./my-plugin
        stoker plugins new my-plugin --language python --kind llm
        stoker plugins test ./my-plugin
        stoker plugins install my-plugin-1.2.0.tar.gz
      """,
    subcommands: [
      PluginsListCommand.self, PluginsInspectCommand.self, PluginsRestartCommand.self, PluginsEnableCommand.self,
      PluginsDisableCommand.self, PluginsQuarantineCommand.self, PluginsInstallCommand.self,
      PluginsRemoveCommand.self, PluginsLintCommand.self, PluginsNewCommand.self, PluginsTestCommand.self,
      PluginsRunCommand.self, PluginsReplayCommand.self,
    ],
    defaultSubcommand: PluginsListCommand.self)
}

/// `stoker plugins list`.
struct PluginsListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the worker's plugins.",
    discussion: "EXAMPLES\n  stoker plugins list\n  stoker plugins list --json")
  @OptionGroup var global: GlobalOptions

  func run() async throws {
    let answer = try await global.worker().call("plugins/list")
    if global.json { return try global.console.json(answer) }
    let plugins = answer["plugins"]?.array ?? []
    if plugins.isEmpty {
      global.console.note("no plugins in:")
    } else {
      for line in PluginScreen.table(plugins).lines(for: global.console) { try global.console.line(line) }
      for line in PluginScreen.problems(plugins) { global.console.note(line) }
      guard !global.quiet, global.console.isErrorTerminal else { return }
      global.console.note("\nsearched, in this order:")
    }
    for directory in answer["directories"]?.array?.compactMap(\.string) ?? [] { global.console.note("  \(directory)") }
  }
}

/// `stoker plugins inspect`.
struct PluginsInspectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show everything about a plugin.",
    discussion: """
      Manifest, settings, processes, counters, the last 200 events (starts, exits with reasons, restarts, quarantines), the
      evidence of the last crash and the last lines of stderr. History and counters outlive the worker.

      EXAMPLES
        stoker plugins inspect llama
        stoker plugins inspect llama --json
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: "The plugin.") var name: String

  func run() async throws {
    let answer = try await PluginScreen.ask("plugins/inspect", name, global)
    if global.json { return try global.console.json(answer) }
    for line in PluginScreen.details(answer, now: Wall.now(), for: global.console) { try global.console.line(line) }
  }
}

/// `stoker plugins restart`.
struct PluginsRestartCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restart", abstract: "Restart a plugin's engines, and lift its quarantine.",
    discussion: """
      Running jobs may finish within --grace; then they go back to the queue, and count as if they had never begun. Other plugins do \
      not notice. A new version that did not start is tried again.

      EXAMPLES
        stoker plugins restart llama
        stoker plugins restart llama --grace 5m
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: "The plugin.") var name: String
  @OptionGroup var grace: GraceOption

  func run() async throws { try await PluginScreen.act("plugins/restart", name, "restarted", global, grace) }
}

/// `stoker plugins enable`.
struct PluginsEnableCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enable", abstract: "Let a plugin serve again.",
    discussion: "EXAMPLES\n  stoker plugins enable whisper")
  @OptionGroup var global: GlobalOptions
  @Argument(help: "The plugin.") var name: String

  func run() async throws { try await PluginScreen.act("plugins/enable", name, "enabled", global) }
}

/// `stoker plugins disable`.
struct PluginsDisableCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disable", abstract: "Keep a plugin from serving.",
    discussion: """
      Running jobs may finish within --grace; then they go back to the queue.

      EXAMPLES
        stoker plugins disable whisper
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: "The plugin.") var name: String
  @OptionGroup var grace: GraceOption

  func run() async throws { try await PluginScreen.act("plugins/disable", name, "disabled", global, grace) }
}

/// `stoker plugins lint`.
struct PluginsLintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lint", abstract: "Give the worker's verdict on a plugin's directory.",
    discussion: """
      Needs no running worker, and starts nothing. Exit status 1 when the plugin could not be used.

      EXAMPLES
        stoker plugins lint ./my-plugin
        stoker plugins lint Plugins/llama Plugins/whisper --json
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("Directories that hold a plugin.yaml.", valueName: "dir"), completion: .directory)
  var directories: [String]

  func run() throws {
    let path = PluginCatalog.searchPath(Environment.value("PATH"))
    let reports = directories.map { PluginLint.lint($0, searchPath: path) }
    if global.json { try global.console.json(reports.count == 1 ? reports[0].json : .array(reports.map(\.json))) }
    for (directory, report) in zip(directories, reports) where !global.json {
      for diagnostic in report.diagnostics { try global.console.line(global.console.shown("\(diagnostic)")) }
      if let plugin = report.plugin, !global.quiet {
        try global.console.line(global.console.shown("\(directory): \(plugin.name) can be used"))
      }
    }
    guard reports.contains(where: { !$0.isUsable }) else { return }
    var failure = CLIError(.failed, class: "lint", "")
    failure.isReported = true
    throw failure
  }
}
