import ArgumentParser
import Host
import PluginProtocol

/// `stoker pause`.
struct PauseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Start no more jobs; running ones go on.",
    discussion: "EXAMPLES\n  stoker pause\n  stoker resume")
  @OptionGroup var global: GlobalOptions

  func run() async throws { try await WorkerState.change("pause", global) }
}

/// `stoker resume`.
struct ResumeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Start jobs again, after a pause or a drain.",
    discussion: "EXAMPLES\n  stoker resume")
  @OptionGroup var global: GlobalOptions

  func run() async throws { try await WorkerState.change("resume", global) }
}

/// Changes of what the worker takes on.
enum WorkerState {
  static func change(_ method: String, _ global: GlobalOptions) async throws {
    try report(try await global.worker().call(method), global)
  }

  static func report(_ answer: JSONValue, _ global: GlobalOptions) throws {
    if global.json { return try global.console.json(answer) }
    guard !global.quiet else { return }
    try global.console.line(global.console.shown("the worker is \(answer["state"]?.string ?? "?")"))
  }
}
