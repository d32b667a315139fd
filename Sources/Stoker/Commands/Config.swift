import ArgumentParser
import Glibc
import Host
import PluginProtocol

/// `stoker config`.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Show, check and change the configuration.",
    discussion: """
      None of these needs a running worker.

      EXAMPLES
        stoker config
        stoker config set jobs.maxQueued 500
      """,
    subcommands: [ConfigShowCommand.self, ConfigCheckCommand.self, ConfigPathCommand.self, ConfigSetCommand.self],
    defaultSubcommand: ConfigShowCommand.self)
}

/// `stoker config show`.
struct ConfigShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Print the configuration in effect, defaults included.",
    discussion: "EXAMPLES\n  stoker config show\n  stoker config show --json")
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let loaded = try global.located().configured().loaded
    for warning in loaded.warnings where !global.quiet { global.console.note("\(warning)") }
    if global.json { return try global.console.json(loaded.configuration.json) }
    try global.console.line(global.console.shown(loaded.configuration.json.yamlText))
  }
}

/// `stoker config check`.
struct ConfigCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check the configuration file, or another one.",
    discussion: """
      Names every mistake with its line and column. Exit status 1 when there is one.

      EXAMPLES
        stoker config check
        stoker config check ./new-config.yaml
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: "The file; the home's own when left out.", completion: .file()) var file: String?

  func run() throws {
    let path = try file ?? global.located().bare.configFile
    let diagnostics = HostConfiguration.check(path)
    let isUsable = !diagnostics.contains { $0.severity == .error }
    if global.json {
      try global.console.json([
        "file": .string(path), "usable": .bool(isUsable), "diagnostics": .array(diagnostics.map(\.json)),
      ])
    } else {
      for diagnostic in diagnostics { try global.console.line(global.console.shown("\(diagnostic)")) }
      if isUsable, !global.quiet { try global.console.line(global.console.shown("\(path): no mistakes")) }
    }
    guard !isUsable else { return }
    var failure = CLIError(.failed, class: "configuration", "")
    failure.isReported = true
    throw failure
  }
}

/// `stoker config path`.
struct ConfigPathCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "path", abstract: "Print where everything lies.",
    discussion: """
      Prints the configuration file's path alone, so that scripts can use it; with --json or -v all paths.

      EXAMPLES
        $EDITOR "$(stoker config path)"
        stoker config path --verbose
      """)
  @OptionGroup var global: GlobalOptions
  @Flag(name: .shortAndLong, help: "All paths.") var verbose = false

  func run() throws {
    let located = try global.located()
    guard verbose || global.json else { return try global.console.line(located.bare.configFile) }
    let layout = try located.configured().layout
    let paths: [(String, String)] = [
      ("config", layout.configFile), ("models.yaml", layout.modelsFile), ("data", layout.dataDirectory),
      ("models", layout.modelsDirectory), ("state", layout.stateDirectory), ("cache", layout.cacheDirectory),
      ("socket", layout.socketPath), ("launcher", layout.launcher),
    ]
    if global.json {
      var members = Dictionary(uniqueKeysWithValues: paths.map { ($0, JSONValue.string($1)) })
      members["plugins"] = .array(layout.pluginDirectories.map { .string($0.path) })
      return try global.console.json(.object(members))
    }
    for (name, path) in paths { try global.console.line(TerminalText.pad(name, to: 14) + path) }
    for directory in layout.pluginDirectories {
      try global.console.line(TerminalText.pad("plugins", to: 14) + "\(directory.path) (\(directory.origin.rawValue))")
    }
  }
}

/// `stoker config set`.
struct ConfigSetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set", abstract: "Set one value in the configuration file.",
    discussion: """
      Everything else in the file stays as it was written, comments included. A value that would make the file wrong is \
      refused. A running worker reads the file when it starts.

      EXAMPLES
        stoker config set jobs.maxQueued 500
        stoker config set plugins.llama.config.contextSize 4096
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: "Names separated by dots.") var key: String
  @Argument(help: "As one would write it in the file.") var value: String

  func run() throws {
    let file = try global.located().bare.configFile
    try ConfigSetCommand.makeDirectory(FilePath.parent(file))
    try ConfigurationEditor.set(key, to: value, inFile: file)
    if global.json {
      return try global.console.json(["file": .string(file), "key": .string(key), "value": .string(value)])
    }
    if !global.quiet { try global.console.line(global.console.shown("\(key) set in \(file)")) }
  }

  /// `mkdir -p`, for this user alone.
  private static func makeDirectory(_ path: String) throws {
    guard FilePath.kind(path) == nil else { return }
    let parent = FilePath.parent(path)
    if parent != path { try makeDirectory(parent) }
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
      throw CLIError.failed("cannot create \(path): \(String(cString: strerror(errno)))")
    }
  }
}
