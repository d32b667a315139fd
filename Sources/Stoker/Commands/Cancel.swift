import ArgumentParser
import Host
import PluginProtocol

/// `stoker cancel`.
struct CancelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Cancel jobs.",
    discussion: """
      A queued job is cancelled at once, a running one as soon as its engine stops, which is enforced. Cancelling a finished \
      job changes nothing and is no error.

      EXAMPLES
        stoker cancel 019c5b7e-24f1-7c3a-9d5e-0a1b2c3d4e5f
      """)

  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The jobs.", valueName: "id")) var ids: [String]

  func run() async throws {
    let connection = try global.worker()
    var answers: [JSONValue] = []
    for id in ids {
      let id = try await JobReference.resolve(id, by: connection)
      let answer = try await connection.call("jobs/cancel", ["id": .string(id)])
      answers.append(answer)
      guard !global.json, !global.quiet else { continue }
      switch answer["outcome"]?.string {
      case "requested": try global.console.line("\(id) is being cancelled")
      case "finished":
        try global.console.line("\(id) has ended before: \(answer["job"]?["state"]?.string ?? "?")")
      default: try global.console.line("\(id) cancelled")
      }
    }
    if global.json { try global.console.json(answers.count == 1 ? answers[0] : .array(answers)) }
  }
}
