import ArgumentParser
import Host
import PluginProtocol

/// `stoker plugins new`.
struct PluginsNewCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Make a plugin to begin with.",
    discussion: """
      Makes a directory with a manifest, a small engine that works, a copy of the language's kit, and a README. The engine \
      obeys cancel, reports progress, sends chunks as credit allows, and writes real files of the simplest kind: it passes \
      `plugins lint` and `plugins test` as it is (swift and c: after `make`). Put your model in its place.

      EXAMPLES
        stoker plugins new shout --language python --kind llm
        stoker plugins new say --language bash --kind tts --directory ~/src
        stoker plugins new sketch --language node --kind image --json
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: "The plugin's name: 1 to 40 of a-z, 0-9 and -.") var name: String
  @Option(help: ArgumentHelp("python, swift, bash, c or node.", valueName: "name"))
  var language: TemplateLanguage
  @Option(
    help: ArgumentHelp("What it makes: llm, stt, tts, image or video.", valueName: "kind"),
    completion: .list(["llm", "stt", "tts", "image", "video"]))
  var kind: String
  @Option(help: ArgumentHelp("Where the plugin's directory is made.", valueName: "dir"), completion: .directory)
  var directory = "."
  @Flag(help: "Write over files that are there; others stay.")
  var force = false

  func run() throws {
    try PluginScaffold.check(name: name)
    let scaffold = PluginScaffold(
      name: name, language: language, kind: try JobKind(named: kind), shared: try SharedFiles.ofThisProgram(),
      directory: directory == "." ? name : FilePath.join(directory, name))
    let files = try scaffold.write(force: force)
    let steps =
      (language.isCompiled ? ["make -C \(scaffold.directory)"] : []) + [
        "stoker plugins test \(scaffold.directory)", scaffold.trial.run,
      ]
    if global.json {
      return try global.console.json([
        "name": .string(name), "directory": .string(scaffold.directory), "files": JSONValue(files),
        "next": JSONValue(steps),
      ])
    }
    try global.console.line(scaffold.directory)
    guard !global.quiet else { return }
    global.console.note("\(scaffold.directory) has an engine in \(language.title). Next:")
    for step in steps { global.console.note("  \(step)") }
  }
}
