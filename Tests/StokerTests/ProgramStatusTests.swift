import ArgumentParser
import PluginProtocol
import Testing

@testable import Host
@testable import stoker

struct ProgramStatusTests {
  static let errors: [(any Error & Sendable, ProgramStatus)] = [
    (ControlError.noWorker(path: "/x"), .noWorker), (ControlError.disconnected(path: "/x"), .noWorker),
    (ControlError.homeInUse(path: "/x"), .failed), (ControlError.pathTooLong(path: "/x", limit: 107), .usage),
    (RPCError(control: .unknownKind, "m"), .unserved), (RPCError(control: .noEngine, "m"), .unserved),
    (RPCError(control: .badInput, "m"), .usage), (RPCError(.badInput, "m"), .usage),
    (RPCError(control: .notFound, "m"), .failed), (RPCError(control: .queueFull, "m"), .failed),
    (RPCError(control: .draining, "m"), .failed), (RPCError(control: .conflict, "m"), .failed),
    (RPCError(code: RPCError.methodNotFoundCode, message: "m"), .failed), (CancellationError(), .interrupted),
    (UnknownJobKind(name: "x"), .usage), (ModelError(.unknownModel, "m"), .usage), (ModelError(.network, "m"), .failed),
    (HomeError(path: "x", problem: "m"), .usage),
  ]

  @Test(arguments: errors)
  func everyErrorHasItsStatus(_ error: any Error & Sendable, _ status: ProgramStatus) {
    let transcript = Transcript()
    #expect(Main.report(error, arguments: ["status"], to: transcript.console()) == status)
    #expect(transcript.out.isEmpty)
    #expect(status == .interrupted || transcript.err.hasPrefix("stoker: "))
  }

  @Test func wrongUsageIsTwoAndHelpIsNone() {
    for arguments in [["submit", "--bogus"], ["frobnicate"], ["jobs", "--limit", "many"], ["cancel"]] {
      let transcript = Transcript()
      #expect(status(of: arguments, transcript) == .usage)
      #expect(transcript.err.hasPrefix("stoker: "))
      #expect(transcript.err.contains("Usage: stoker"))
    }
    for arguments in [["--help"], ["--version"], ["submit", "--help"], ["--generate-completion-script", "bash"]] {
      let transcript = Transcript()
      #expect(status(of: arguments, transcript) == .done)
      #expect(transcript.err.isEmpty)
      #expect(!transcript.out.isEmpty)
    }
  }

  @Test func jsonErrorsGoToStdout() throws {
    let transcript = Transcript()
    let error = RPCError(control: .noEngine, "no engine serves video")
    #expect(Main.report(error, arguments: ["submit", "--json"], to: transcript.console()) == .unserved)
    #expect(transcript.err.isEmpty)
    let printed = try JSONValue(parsing: transcript.out)
    #expect(printed == ["error": ["class": "no_engine", "message": "no engine serves video"]])
  }

  @Test func everyCommandExplainsItselfWithExamples() {
    func walk(_ command: any ParsableCommand.Type, _ path: String) {
      let help = StokerCommand.helpMessage(for: command, columns: 100)
      #expect(help.contains("EXAMPLES"), "\(path)")
      #expect(!command.configuration.abstract.isEmpty, "\(path)")
      let groups = command.configuration.groupedSubcommands.flatMap(\.subcommands)
      for child in command.configuration.ungroupedSubcommands + groups {
        walk(child, "\(path) \(child.configuration.commandName ?? "")")
      }
    }
    walk(StokerCommand.self, "stoker")
  }

  private func status(of arguments: [String], _ transcript: Transcript) -> ProgramStatus {
    do {
      var command = try StokerCommand.parseAsRoot(arguments)
      // The parser's own help command.
      if !(command is any AsyncParsableCommand) { try command.run() }
      return .done
    } catch {
      return Main.report(error, arguments: arguments, to: transcript.console())
    }
  }
}
