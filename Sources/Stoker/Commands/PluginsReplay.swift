import ArgumentParser
import Host
import PluginProtocol

/// `stoker plugins replay`.
struct PluginsReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Say again what a trace recorded, and compare the answers.",
    discussion: """
      Starts the plugin's engine, sends it the host's messages of a trace in their order and after the same answers, and \
      prints where its answers differ: their order and shape, errors, chunks, texts. Numbers and times may differ. \
      STOKER_TRACE_DIR makes traces; one made without STOKER_TRACE_FULL=1 has no long texts, and where texts are missing \
      none are compared. Docs/Tracing.md has more.

      Exit status 0 when nothing differs, 1 when something does.

      EXAMPLES
        STOKER_TRACE_DIR=traces STOKER_TRACE_FULL=1 stoker plugins run ./shout --prompt "hello there"
        stoker plugins replay traces/shout-*.jsonl ./shout
        stoker plugins replay traces/shout-20250102T030405-77-1.jsonl ./shout --ignore-texts --json
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The trace.", valueName: "trace"), completion: .file(extensions: ["jsonl"]))
  var trace: String
  @Argument(help: ArgumentHelp("A directory that holds a plugin.yaml.", valueName: "dir"), completion: .directory)
  var directory: String
  @Flag(help: "Do not compare texts: for engines that never say the same thing twice.")
  var ignoreTexts = false
  @Option(
    help: ArgumentHelp("Where the files lie that jobs had brought, by their names in the trace.", valueName: "dir"),
    completion: .directory)
  var inputs: String?

  func run() async throws {
    let script = try TraceScript(
      try SafeFile.read(trace, maxBytes: WireTrace.fileBytes + (1 << 20)).bytes, file: trace)
    let single = try SinglePlugin(directory)
    defer { single.remove() }
    let located = try global.located()
    let (layout, loaded) = try located.configured()
    var replay = TraceReplay(
      script: script,
      suite: ConformanceSuite(
        layout: layout, configuration: loaded.configuration, environment: located.environment,
        hostVersion: StokerVersion.current, models: try ModelsCommand.store(global)))
    replay.comparesTexts = !ignoreTexts
    replay.inputs = inputs
    let (ready, plugin) = (replay, single.plugin)
    let report = try await endedByInterrupt { try await ready.run(plugin) }
    if global.json {
      try global.console.json([
        "same": .bool(report.differences.isEmpty), "sent": JSONValue(report.sent),
        "recorded": JSONValue(report.recorded),
        "comparedTexts": .bool(report.comparedTexts), "differences": .array(report.differences.map(\.json)),
      ])
    } else {
      try show(report, script)
    }
    guard !report.differences.isEmpty else { return }
    var failure = CLIError(.failed, class: "different", "")
    failure.isReported = true
    throw failure
  }

  private func show(_ report: TraceReplay.Report, _ script: TraceScript) throws {
    let console = global.console
    for difference in report.differences {
      try console.line(console.shown(difference.place))
      try console.line(console.shown("  recorded: \(difference.recorded)"))
      try console.line(console.shown("  replayed: \(difference.replayed)"))
    }
    guard !global.quiet else { return }
    if !ignoreTexts, !report.comparedTexts {
      console.note("texts were not compared: the trace has been cut; record it with \(WireTrace.fullVariable)=1")
    }
    if script.isIncomplete { console.note("the trace is not whole: it says itself what is missing") }
    let verdict =
      report.differences.isEmpty ? "no differences" : "\(report.differences.count) differences"
    try console.line("\(report.sent) of \(report.recorded) messages sent, \(verdict)")
  }
}
