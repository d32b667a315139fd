import ArgumentParser
import Glibc
import PluginProtocol

/// The program: parses, runs one command, and turns whatever happened into a message and an exit status.
@main
enum Main {
  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let console = Console.standard()
    do {
      var command = try StokerCommand.parseAsRoot(arguments)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      exit(report(error, arguments: arguments, to: console).rawValue)
    }
  }

  /// Says what went wrong: on stderr for people, on stdout as `{"error": {class, message}}` for programs.
  static func report(_ error: any Error, arguments: [String], to console: Console) -> ExitStatus {
    if isParserMessage(error) {
      let text = StokerCommand.fullMessage(for: error)
      guard StokerCommand.exitCode(for: error) != .success else {
        // Help, the version, a completion script: what was asked for.
        try? console.line(text)
        return .done
      }
      return report(CLIError(.usage, class: "usage", StokerCommand.message(for: error)), arguments, to: console) {
        // The parser's own text goes on with the usage of the command that was meant.
        text.hasPrefix("Error: ") ? "stoker: " + text.dropFirst(7) : "stoker: " + text
      }
    }
    let failure = CLIError(error)
    return report(failure, arguments, to: console) {
      failure.message.isEmpty ? "" : "stoker: " + failure.message
    }
  }

  private static func report(
    _ failure: CLIError, _ arguments: [String], to console: Console, text: () -> String
  ) -> ExitStatus {
    if arguments.prefix(while: { $0 != "--" }).contains("--json"), !failure.isReported {
      try? console.json(failure.json)
    } else {
      let text = text()
      if !text.isEmpty { console.note(text) }
    }
    return failure.status
  }

  /// True for what the argument parser throws itself.
  private static func isParserMessage(_ error: any Error) -> Bool {
    CLIError.known(error) == nil
  }
}
