import ArgumentParser
import Host
import PluginProtocol

/// `stoker logs`.
struct LogsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logs", abstract: "Show the worker's log.",
    discussion: """
      EXAMPLES
        stoker logs -n 200
        stoker logs -f --plugin llama --level debug
        stoker logs --job 019c5b7e-24f1 --json
      """)
  @OptionGroup var global: GlobalOptions
  @Flag(name: .shortAndLong, help: "Go on with what comes, until Ctrl-C.") var follow = false
  @Option(name: [.customShort("n"), .long], help: ArgumentHelp("How many of the last lines.", valueName: "n"))
  var lines = 50
  @Option(help: ArgumentHelp("Only this plugin's.", valueName: "name")) var plugin: String?
  @Option(help: ArgumentHelp("Only this job's.", valueName: "id")) var job: String?
  @Option(
    help: "Only from this level up: debug, info, warning or error.",
    completion: .list(["debug", "info", "warning", "error"]))
  var level: String?

  func run() async throws {
    guard (0...100_000).contains(lines) else { throw CLIError.usage("--lines must be from 0 to 100000, not \(lines)") }
    let connection = try global.worker()
    var job: String?
    if let given = self.job { job = try await JobReference.resolve(given, by: connection) }
    let params = JSONValue.compact([
      "lines": JSONValue(lines), "follow": .bool(follow), "plugin": JSONValue(plugin), "job": JSONValue(job),
      "level": JSONValue(level),
    ])
    let console = global.console
    let isJSON = global.json
    try await endedByInterrupt {
      try await LogsCommand.print(params, by: connection, isJSON: isJSON, to: console)
    }
  }

  private static func print(
    _ params: JSONValue, by connection: any WorkerConnection, isJSON: Bool, to console: Console
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      let (broken, breaks) = AsyncStream.makeStream(of: CLIError.self, bufferingPolicy: .bufferingOldest(1))
      group.addTask {
        _ = try await connection.call("logs", params) { event in
          do {
            if isJSON { try console.jsonLine(event) } else { try console.line(LogLine.text(event, for: console)) }
          } catch {
            breaks.yield(CLIError(error))
          }
        }
      }
      group.addTask {
        for await failure in broken { throw failure }
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}

/// One line of the worker's log, for people.
enum LogLine {
  static func text(_ event: JSONValue, for console: Console) -> String {
    let level = event["level"]?.string ?? "info"
    let colour: Console.Colour? =
      switch level {
      case "error", "critical": .red
      case "warning": .yellow
      case "debug", "trace": .dim
      default: nil
      }
    let source = event["source"]?.string ?? "stoker"
    let job = event["job"]?.string.map { " [\($0)]" } ?? ""
    let message = event["message"]?.string ?? ""
    let clean = { (text: String) in
      console.isOutputTerminal ? TerminalText.sanitise(text, keepsLines: false) : text
    }
    return clean(event["at"]?.string ?? "") + " " + console.paint(TerminalText.pad(clean(level), to: 7), colour) + " "
      + clean(source + job) + ": " + clean(message)
  }
}
