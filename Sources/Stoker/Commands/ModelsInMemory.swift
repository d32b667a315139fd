import ArgumentParser
import Host
import PluginProtocol

/// `stoker models load`.
struct ModelsLoadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Load a model into the memory of an engine.",
    discussion: """
      Jobs that name the model then start at once. Other models are unloaded when there is no room, the one that was not used \
      for longest first; one that is pinned never is. Without --keep-alive the model stays as long as the configuration says.

      EXAMPLES
        stoker models load smollm2-135m-instruct
        stoker models load whisper-tiny.en --pin
        stoker models load gemma-3-270m --keep-alive 2h
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The model.", valueName: "id")) var id: String
  @Flag(help: "Keep it until it is unloaded by hand, or its engine ends.") var pin = false
  @Option(help: ArgumentHelp("How long it stays unused: 90s, 10m, 2h.", valueName: "time")) var keepAlive: String?

  func run() async throws {
    if pin, keepAlive != nil { throw CLIError.usage("a model that is pinned stays; leave out --pin or --keep-alive") }
    let params: JSONValue = .compact([
      "model": .string(id), "pin": pin ? true : .null,
      "keepAliveSeconds": try keepAlive.map { try JobRequestBuilder.seconds($0, "--keep-alive") } ?? .null,
    ])
    try await ModelMemory.ask("models/load", id, params, pin ? "loaded and pinned" : "loaded", global)
  }
}

/// `stoker models unload`.
struct ModelsUnloadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unload", abstract: "Take models out of engines' memory.",
    discussion: """
      A pinned model is unpinned by that. One that is not loaded is left as it is; one that jobs use stays, and the exit status is 1.

      EXAMPLES
        stoker models unload smollm2-135m-instruct
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The models.", valueName: "id")) var ids: [String]

  func run() async throws {
    for id in ids {
      do {
        try await ModelMemory.ask("models/unload", id, ["model": .string(id)], "unloaded", global)
      } catch let error as CLIError where error.errorClass == ControlFailure.notFound.rawValue {
        // What is known and not loaded is as it should be; anything else is a wrong name.
        guard (try? ModelsCommand.store(global).entry(id)) != nil else { throw error }
        if global.json {
          try global.console.json(["unloaded": 0])
        } else if !global.quiet {
          global.console.note("stoker: \(id) was not loaded")
        }
      }
    }
  }
}

/// Requests about what engines hold.
enum ModelMemory {
  /// Asks the worker, shows how far it has come, and says what came of it. Ctrl-C withdraws the request.
  static func ask(
    _ method: String, _ id: String, _ params: JSONValue, _ done: String, _ global: GlobalOptions
  ) async throws {
    let worker = try global.worker()
    let line = ProgressLine(global.console, isQuiet: global.quiet || global.json)
    defer { line.clear() }
    let answer = try await endedByInterrupt {
      try await CLIError.naming {
        try await worker.call(method, params) { event in
          if let bar = ProgressBar(event: event) { line.show(bar) }
        }
      }
    }
    line.clear()
    if global.json { return try global.console.json(answer) }
    guard !global.quiet else { return }
    try global.console.line(global.console.shown("\(id) \(done)"))
  }
}
