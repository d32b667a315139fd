import CWhisper
import Glibc
import PluginProtocol
import Synchronization
import WhisperCore

/// Speech to text with whisper.cpp: ggml models, one recording at a time, models kept between jobs.
actor WhisperEngine: Engine {
  nonisolated let information = EngineInformation(
    name: "whisper", version: "1.0.0", features: [.chunks, .modelResidency, .progress], lineBytes: 16 << 20)

  private var settings = ModelSettings()
  private var models: [String: LoadedModel] = [:]

  nonisolated var unownedExecutor: UnownedSerialExecutor { ComputeThread.shared.asUnownedSerialExecutor() }

  func initialize(_ parameters: InitializeParameters) throws -> [String]? {
    settings = try ModelSettings(parameters)
    swhisper_start { level, text in
      // How a model is laid out is of no use to an operator; warnings and errors are.
      guard level >= 2, let text else { return }
      let line = Array("whisper.cpp: \(String(cString: text))\n".utf8)
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
      memoryBytes: loaded.info.memory_bytes,
      deviceBytes: settings.hasDevice && swhisper_device() != nil ? loaded.info.device_bytes : nil)
  }

  func unload(_ modelID: String) throws {
    if models[modelID]?.isBusy == true {
      throw EngineError(.transient, "Model \(modelID) is in use: cancel its job first or wait for it.")
    }
    models[modelID] = nil
  }

  nonisolated func run(_ job: EngineJob) async throws -> JobRunResult {
    guard job.kind == "audio_stt" else {
      throw EngineError(.unsupported, "The whisper engine serves jobs of kind audio_stt, not \(job.kind).")
    }
    let task = try TranscriptionTask(try job.taskFields())
    let relay = SegmentRelay(job)
    // Beside the compute thread, which libwhisper keeps for as long as it computes.
    async let sent: Void = relay.send()
    let transcript: Transcript
    do {
      transcript = try await transcribe(job, task, relay)
    } catch {
      relay.finish()
      _ = try? await sent
      throw error
    }
    relay.finish()
    try await sent
    return JobRunResult(output: transcript.json, usage: transcript.usage)
  }

  private func transcribe(_ job: EngineJob, _ task: TranscriptionTask, _ relay: SegmentRelay) throws -> Transcript {
    let model = try model(for: job)
    guard !model.isBusy else {
      throw EngineError(.transient, "Model \(model.id) is busy with another job: try again when that has ended.")
    }
    model.isBusy = true
    defer { model.isBusy = false }
    let transcription = try Transcription(job: job, task: task, model: model, settings: settings, relay: relay)
    return try transcription.run()
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
