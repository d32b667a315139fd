import ArgumentParser
import Glibc

/// The program: parses, runs one command, and turns whatever happened into a message and an exit status.
@main
enum Main {
  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      var command = try StokerCommand.parseAsRoot(arguments)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      exit(report(error, arguments: arguments, to: Console.standard()).rawValue)
    }
  }

  /// Says what went wrong: on stderr for people, on stdout as `{"error": {class, message}}` for programs.
  static func report(_ error: any Error, arguments: [String], to console: Console) -> ProgramStatus {
    if CLIError.known(error) == nil {
      let code = StokerCommand.exitCode(for: error)
      let text = StokerCommand.fullMessage(for: error)
      if code == .success {
        // Help, the version, a completion script: what was asked for.
        try? console.line(text)
        return .done
      }
      if code == .validationFailure {
        // The parser's text goes on with the usage of the command that was meant.
        let failure = CLIError.usage(StokerCommand.message(for: error))
        return report(failure, text.hasPrefix("Error: ") ? String(text.dropFirst(7)) : text, arguments, console)
      }
    }
    let failure = CLIError(error)
    return report(failure, failure.message, arguments, console)
  }

  private static func report(
    _ failure: CLIError, _ text: String, _ arguments: [String], _ console: Console
  ) -> ProgramStatus {
    guard !failure.isReported else { return failure.status }
    if arguments.prefix(while: { $0 != "--" }).contains("--json") {
      try? console.json(failure.json)
    } else if !text.isEmpty {
      console.note("stoker: " + text)
    }
    return failure.status
  }
}
