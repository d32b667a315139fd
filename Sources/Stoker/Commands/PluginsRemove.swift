import ArgumentParser
import Host
import PluginProtocol

/// `stoker plugins remove`.
struct PluginsRemoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Take a plugin out of the home's plugins directory, and delete it.",
    discussion: """
      A running worker takes no new jobs for it; those that run may finish within --grace, then they go back to the queue. Plugins \
      of other directories, such as those that came with stoker, are switched off with `stoker plugins disable` instead.

      EXAMPLES
        stoker plugins remove my-plugin
        stoker plugins remove my-plugin --yes --grace 5m
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: "The plugin.") var name: String
  @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
  @OptionGroup var grace: GraceOption

  func run() async throws {
    let seconds = try grace.seconds
    let (layout, loaded) = try global.located().configured()
    let configuration = loaded.configuration
    if !yes {
      guard global.console.isErrorTerminal, !global.json else {
        throw CLIError.usage("to remove \(name) and its files for good, add --yes")
      }
      guard global.console.asks("Delete plugin \(name) from \(layout.userPluginDirectory)?") else {
        throw CLIError.failed("nothing was removed")
      }
    }
    let name = name
    let trash = try await PluginsInstaller.run(layout, configuration) { try $0.remove(name) }
    var drained: JSONValue = .null
    var isGone = true
    do {
      let answer = try await global.worker().call(
        "plugins/look",
        ["name": .string(name), "drain": .bool(!grace.isImpatient), "graceSeconds": .double(seconds)])
      drained = answer["drained"] ?? .null
      // Else the worker removes the rest when the last process has left.
      isGone = answer["leaving"]?.int == 0
    } catch let error as ControlError where CLIError(error).status == .noWorker {
    }
    if isGone { try await PluginsInstaller.run(layout, configuration) { $0.discard(trash) } }
    if global.json { return try global.console.json(.compact(["removed": .string(name), "drained": drained])) }
    guard !global.quiet else { return }
    try global.console.line(global.console.shown("\(name) removed\(GraceOption.returned(drained))"))
  }
}

/// `--grace`.
struct GraceOption: ParsableArguments {
  @Option(
    name: .customLong("grace"),
    help: ArgumentHelp(
      "How long running jobs may go on; then they go back to the queue.", valueName: "duration"))
  var text = "30s"

  @Flag(name: .customLong("no-wait"), help: "Do not wait until the old processes have left.")
  var isImpatient = false

  /// - Throws: wrong usage.
  var seconds: Double {
    get throws {
      guard let duration = DurationText.parse(text), duration <= .seconds(86_400) else {
        throw CLIError.usage("--grace \(text) is not a duration of at most a day, such as 30s or 5m")
      }
      return Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
  }

  /// What came of a drain, for the end of a sentence.
  static func returned(_ drained: JSONValue) -> String {
    guard let count = drained["returnedJobs"]?.int, count > 0 else { return "" }
    return "; \(count) job\(count == 1 ? "" : "s") went back to the queue"
  }
}
