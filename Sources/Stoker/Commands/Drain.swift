import ArgumentParser
import Host
import PluginProtocol

/// `stoker drain`.
struct DrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Take no new jobs, and wait until the running ones have ended.",
    discussion: """
      What is queued stays queued. Ctrl-C stops the waiting, not the draining; `stoker resume` undoes it. Exit status 1 when \
      jobs still run after --timeout.

      EXAMPLES
        stoker drain
        stoker drain --timeout 10m
      """)
  @OptionGroup var global: GlobalOptions
  @Option(help: ArgumentHelp("Give up waiting after this time: 90s, 10m.", valueName: "time")) var timeout: String?

  func run() async throws {
    let connection = try global.worker()
    let limit = try timeout.map { try JobRequestBuilder.seconds($0, "--timeout") }
    let line = ProgressLine(global.console, isQuiet: global.quiet)
    defer { line.clear() }
    let answer = try await endedByInterrupt {
      try await connection.call("drain", .compact(["timeoutSeconds": limit ?? .null])) { event in
        guard let running = event["running"]?.int else { return }
        line.show(ProgressBar(label: "draining", fraction: nil, detail: "\(running) running"))
      }
    }
    line.clear()
    try WorkerState.report(answer, global)
    if let running = answer["running"]?.int, running > 0 {
      var error = CLIError.failed(
        "\(running) \(running == 1 ? "job still runs" : "jobs still run"): drain again to go on waiting, or see `stoker jobs --state running`"
      )
      error.isReported = global.json
      throw error
    }
  }
}
