import CLlama
import Glibc
import LlamaText
import PluginProtocol
import Synchronization

/// Text generation with llama.cpp: GGUF models, one generation at a time, models kept between jobs.
actor LlamaEngine: Engine {
  nonisolated let information = EngineInformation(
    name: "llama", version: "1.0.0", features: [.chunks, .modelResidency, .progress], lineBytes: 16 << 20)

  private var settings = ModelSettings()
  private var models: [String: LoadedModel] = [:]

  nonisolated var unownedExecutor: UnownedSerialExecutor { ComputeThread.shared.asUnownedSerialExecutor() }

  func initialize(_ parameters: InitializeParameters) throws -> [String]? {
    settings = try ModelSettings(parameters)
    sllama_start { level, text in
      // How a model is laid out is of no use to an operator; warnings and errors are.
      guard level >= 2, let text else { return }
      let line = Array("llama.cpp: \(String(cString: text))\n".utf8)
      _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
    return nil
  }

  func load(_ model: ModelReference, progress: ModelProgressReporter) async throws -> ModelLoadResult {
    let cancelled = CancelFlag()
    return try await withTaskCancellationHandler {
      try loadNow(model, progress: progress, cancelled: cancelled)
    } onCancel: {
      cancelled.set()
    }
  }

  private func loadNow(
    _ model: ModelReference, progress: ModelProgressReporter, cancelled: CancelFlag
  ) throws -> ModelLoadResult {
    let loaded = try models[model.id] ?? LoadedModel(model, settings: settings, progress: progress) { cancelled.isSet }
    models[model.id] = loaded
    return ModelLoadResult(
      memoryBytes: loaded.info.memory_bytes, deviceBytes: sllama_device() == nil ? nil : loaded.info.device_bytes,
      contextLength: Int(loaded.info.context_size))
  }

  func unload(_ modelID: String) throws {
    if models[modelID]?.isBusy == true {
      throw EngineError(.transient, "Model \(modelID) is in use: cancel its job first or wait for it.")
    }
    models[modelID] = nil
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    guard job.kind == "llm" else {
      throw EngineError(.unsupported, "The llama engine serves jobs of kind llm, not \(job.kind).")
    }
    let model = try model(for: job)
    guard !model.isBusy else {
      throw EngineError(.transient, "Model \(model.id) is busy with another job: try again when that has ended.")
    }
    model.isBusy = true
    defer { model.isBusy = false }
    let task = try ChatTask(try job.taskFields(), defaults: model.templateDefaults)
    var generation = Generation(job: job, task: task, model: model)
    let completion = try await generation.run()
    return JobRunResult(output: completion.json, usage: completion.usage)
  }

  private func model(for job: EngineJob) throws -> LoadedModel {
    if let id = job.modelID {
      guard let model = models[id] else {
        throw EngineError(.engineFault, "Model \(id) is not loaded in this process: load it first.")
      }
      return model
    }
    guard models.count == 1, let model = models.values.first else {
      throw EngineError(.badInput, "The job names no model, and \(models.count) are loaded: name one.")
    }
    return model
  }
}

/// Set once, read from any thread.
private final class CancelFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  var isSet: Bool { flag.load(ordering: .relaxed) }
  func set() { flag.store(true, ordering: .relaxed) }
}
