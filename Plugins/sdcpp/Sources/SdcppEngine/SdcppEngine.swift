import CStableDiffusion
import Glibc
import ImageTask
import PluginProtocol

/// Images and video with stable-diffusion.cpp: one drawing at a time, models kept between jobs.
actor SdcppEngine: Engine {
  nonisolated let information = EngineInformation(
    name: "sdcpp", version: "1.0.0", features: [.modelResidency, .progress], lineBytes: 16 << 20)

  private var settings = EngineSettings()
  private var models: [String: LoadedModel] = [:]

  nonisolated var unownedExecutor: UnownedSerialExecutor { ComputeThread.shared.asUnownedSerialExecutor() }

  func initialize(_ parameters: InitializeParameters) throws -> [String]? {
    settings = try EngineSettings(parameters)
    ssd_start { level, text in
      // How a model is laid out is of no use to an operator; warnings and errors are.
      guard level >= 2, let text else { return }
      let line = Array("stable-diffusion.cpp: \(String(cString: text))\n".utf8)
      _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
    return nil
  }

  func load(_ model: ModelReference, progress: ModelProgressReporter) throws -> ModelLoadResult {
    let loaded = try models[model.id] ?? LoadedModel(model, settings: settings, progress: progress)
    // The library cannot leave a load: what nobody waits for any more goes as soon as it is there.
    guard !Task.isCancelled else { throw EngineError(.cancelled, "The load of \(model.id) was cancelled.") }
    models[model.id] = loaded
    for name in LoadOptions.unknown(in: model.options) {
      complain("model \(model.id): the option \(name.prefix(64)) means nothing to this engine and is not used")
    }
    return ModelLoadResult(
      memoryBytes: loaded.info.memory_bytes, deviceBytes: ssd_device() == nil ? nil : loaded.info.device_bytes)
  }

  func unload(_ modelID: String) {
    models[modelID] = nil
  }

  func run(_ job: EngineJob) throws -> JobRunResult {
    guard job.kind == "image" || job.kind == "video" else {
      throw EngineError(.unsupported, "The sdcpp engine serves jobs of kind image and video, not \(job.kind).")
    }
    return try Drawing(job: job, model: try model(for: job), settings: settings).run()
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

  private nonisolated func complain(_ text: String) {
    let line = Array("sdcpp: \(text)\n".utf8)
    _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
