import ArgumentParser
import Host
import PluginProtocol
import Synchronization

/// `stoker models`.
struct ModelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models", abstract: "Fetch, check and remove models.",
    discussion: """
      None of these needs a running worker. Models are known from a built-in list and from models.yaml; a .gguf file in the \
      models directory is known by its name.

      EXAMPLES
        stoker models
        stoker models pull smollm2-135m-instruct
      """,
    subcommands: [
      ModelsListCommand.self, ModelsPullCommand.self, ModelsVerifyCommand.self, ModelsRemoveCommand.self,
    ],
    defaultSubcommand: ModelsListCommand.self)

  /// The models of a home.
  static func store(_ global: GlobalOptions) throws -> ModelStore {
    let located = try global.located()
    let (layout, loaded) = try located.configured()
    let catalogue = try ModelCatalogue.load(operatorFile: layout.modelsFile, environment: located.environment)
    return ModelStore(
      directory: layout.modelsDirectory, catalogue: catalogue,
      settings: ModelStoreSettings(
        environment: located.environment, keepFree: loaded.configuration.models.keepFree))
  }
}

/// `stoker models list`.
struct ModelsListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the models that are known, and what is here of them.",
    discussion: "EXAMPLES\n  stoker models list\n  stoker models list --json")
  @OptionGroup var global: GlobalOptions

  func run() async throws {
    let models = try ModelsCommand.store(global).list()
    if global.json { return try global.console.json(["models": .array(models.map(\.json))]) }
    var table = Table([
      .init(title: "MODEL", isFlexible: true), .init(title: "KIND"), .init(title: "ENGINE"),
      .init(title: "STATE", colour: JobDetails.colour), .init(title: "SIZE", isNumeric: true),
      .init(title: "LICENSE", isFlexible: true),
    ])
    for model in models {
      table.add([
        model.id, model.kind.cliName, model.engine, model.state.name, model.bytes.map(Human.bytes) ?? "",
        model.license ?? "",
      ])
    }
    for line in table.lines(for: global.console) { try global.console.line(line) }
    for model in models {
      if case .damaged(let reason) = model.state { global.console.note("\(model.id): \(reason)") }
    }
  }
}

/// `stoker models pull`.
struct ModelsPullCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pull", abstract: "Fetch models.",
    discussion: """
      Goes on where an earlier pull stopped, checks what it got, and is done at once when everything is there.

      EXAMPLES
        stoker models pull smollm2-135m-instruct
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The models.", valueName: "id")) var ids: [String]

  func run() async throws {
    let store = try ModelsCommand.store(global)
    let entries = try ids.map { try store.entry($0) }
    let line = ProgressLine(global.console, isQuiet: global.quiet)
    defer { line.clear() }
    try await endedByInterrupt {
      for entry in entries {
        let meter = Mutex(DownloadMeter())
        try await store.pull(entry) { progress in
          let meter = meter.withLock { meter in
            if progress.stage == .downloading { meter.update(bytes: progress.bytes, at: .now) }
            return meter
          }
          line.show(ProgressBar(progress, meter: meter))
        }
        line.clear()
        if !global.json, !global.quiet {
          let status = try store.status(entry)
          let size = status.bytes.map { ", \(Human.bytes($0))" } ?? ""
          try global.console.line(global.console.shown("\(entry.id) is ready\(size): \(status.path ?? "")"))
        }
      }
    }
    if global.json { try global.console.json(["models": .array(try entries.map { try store.status($0).json })]) }
  }
}

/// `stoker models verify`.
struct ModelsVerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Read models again and compare them with their SHA-256.",
    discussion: """
      Without ids, all models that are here. Exit status 1 when one is damaged or missing.

      EXAMPLES
        stoker models verify
        stoker models verify smollm2-135m-instruct
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The models.", valueName: "id")) var ids: [String] = []

  func run() async throws {
    let store = try ModelsCommand.store(global)
    let chosen = ids.isEmpty ? store.list().filter { $0.state != .absent }.map(\.id) : ids
    let entries = try chosen.map { try store.entry($0) }
    let line = ProgressLine(global.console, isQuiet: global.quiet)
    defer { line.clear() }
    let states = try await endedByInterrupt {
      var states: [ModelState] = []
      for entry in entries {
        states.append(try await store.verify(entry, deep: true) { line.show(ProgressBar($0, meter: DownloadMeter())) })
        line.clear()
      }
      return states
    }
    if global.json { try global.console.json(["models": .array(try entries.map { try store.status($0).json })]) }
    for (entry, state) in zip(entries, states) where !global.json {
      var text = "\(entry.id): \(state.name)"
      if case .damaged(let reason) = state { text += ": \(reason); pull it again" }
      if state != .ready || !global.quiet { try global.console.line(global.console.shown(text)) }
    }
    guard states.contains(where: { $0 != .ready }) else { return }
    var failure = CLIError(.failed, class: "damaged", "")
    failure.isReported = true
    throw failure
  }
}

/// `stoker models remove`.
struct ModelsRemoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Delete models' files.",
    discussion: """
      Refused while an engine holds the model. The list still knows it, and it can be pulled again.

      EXAMPLES
        stoker models remove smollm2-135m-instruct
      """)
  @OptionGroup var global: GlobalOptions
  @Argument(help: ArgumentHelp("The models.", valueName: "id")) var ids: [String]

  func run() async throws {
    let store = try ModelsCommand.store(global)
    for id in ids {
      try await store.remove(id)
      if !global.json, !global.quiet { try global.console.line(global.console.shown("\(id) removed")) }
    }
    if global.json { try global.console.json(["removed": JSONValue(ids)]) }
  }
}
