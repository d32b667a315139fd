import ArgumentParser
import Host
import PluginProtocol
import Synchronization

/// `stoker models`.
struct ModelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models", abstract: "Fetch, load, check and remove models.",
    discussion: """
      Models are known from a built-in list and from models.yaml; a .gguf file in the models directory is known by its name. \
      Only load and unload need a running worker. An id that is not known is wrong usage (exit status 2).

      EXAMPLES
        stoker models
        stoker models pull --for stt
        stoker models load smollm2-135m-instruct --pin
      """,
    subcommands: [
      ModelsListCommand.self, ModelsPullCommand.self, ModelsLoadCommand.self, ModelsUnloadCommand.self,
      ModelsVerifyCommand.self, ModelsRemoveCommand.self,
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
    commandName: "list", abstract: "List the models that are known, and where they are.",
    discussion: """
      The state is absent, partial (a pull was interrupted), downloading, unverified (changed since it was last read), ready or \
      damaged; of a model in the memory of an engine of the running worker loading or loaded, with the engine, since when, \
      and what it holds.

      EXAMPLES
        stoker models list
        stoker models list --json
      """)
  @OptionGroup var global: GlobalOptions

  func run() async throws {
    let models = try ModelsCommand.store(global).list()
    var residents: [Resident] = []
    do {
      residents = try await Resident.all(of: try? global.worker())
    } catch let error as RPCError {
      global.console.note("stoker: the worker does not say what is loaded: \(error.message)")
    }
    let screen = ModelScreen(models: models, residents: residents, now: Wall.now())
    if global.json { return try global.console.json(screen.json) }
    for line in screen.table().lines(for: global.console) { try global.console.line(line) }
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
      Goes on where an earlier pull stopped, checks what it got, and is done at once when everything is there. Some models come \
      in parts, which are put together, or in another format, from which they are converted; --for KIND fetches the kind's \
      default model: for llm smollm2-135m-instruct, for stt whisper-tiny.en, for tts piper-en_US-joe-medium. For other kinds, \
      unless models.yaml has exactly one model of them, there is none, and the exit status is 4.

      EXAMPLES
        stoker models pull smollm2-135m-instruct
        stoker models pull --for stt --for tts
      """)
  @OptionGroup var global: GlobalOptions
  @Option(
    name: .customLong("for"),
    help: ArgumentHelp("Fetch the default model of a kind: llm, stt, tts; may be repeated.", valueName: "kind"),
    completion: .list(JobKind.allCases.map(\.cliName)))
  var kinds: [String] = []
  @Argument(help: ArgumentHelp("The models.", valueName: "id")) var ids: [String] = []

  func run() async throws {
    guard !ids.isEmpty || !kinds.isEmpty else {
      throw CLIError.usage("name the models to fetch, or a kind with --for KIND; `stoker models list` shows them")
    }
    let store = try ModelsCommand.store(global)
    var entries = try ids.map { try store.entry($0) }
    for name in kinds {
      let kind = try JobKind(named: name)
      let entry = try store.catalogue.defaultEntry(for: kind)
      if !global.quiet, !global.json {
        let size = entry.declaredBytes.map { ", \(Human.bytes($0))" } ?? ""
        let license = entry.license.map { ", \($0)" } ?? ""
        global.console.note(
          "stoker: the default model for \(kind.cliName) is \(entry.id) (\(entry.engine)\(size)\(license))")
      }
      if !entries.contains(entry) { entries.append(entry) }
    }
    try await pull(entries, of: store)
    if global.json { try global.console.json(["models": .array(try entries.map { try store.status($0).json })]) }
  }

  private func pull(_ entries: [ModelEntry], of store: ModelStore) async throws {
    let line = ProgressLine(global.console, isQuiet: global.quiet)
    defer { line.clear() }
    let (console, isSilent) = (global.console, global.json || global.quiet)
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
        guard !isSilent else { continue }
        let status = try store.status(entry)
        let size = status.bytes.map { ", \(Human.bytes($0))" } ?? ""
        try console.line(console.shown("\(entry.id) is ready\(size): \(status.path ?? "")"))
      }
    }
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
