import CWhisper
import Glibc
import PluginProtocol

/// A model in memory, with its voice activity detector if it has one. Both are given back when the last reference goes.
final class LoadedModel {
  let id: String
  let handle: OpaquePointer
  let info: swhisper_model_info
  /// Nil when the model came without a file of role `vad`.
  let voice: OpaquePointer?
  /// A job is in progress.
  var isBusy = false

  /// Checks the files and loads the model; blocks until it is there.
  ///
  /// - Parameter isCancelled: asked between steps of the load.
  init(
    _ model: ModelReference, settings: ModelSettings, progress: ModelProgressReporter,
    isCancelled: @escaping @Sendable () -> Bool
  ) throws {
    let path = try Self.file(of: model)
    let voicePath = model.files.first { $0.role == "vad" }?.path
    try native { swhisper_inspect(path, $0) }
    if let voicePath { try native { swhisper_inspect_voice(voicePath, $0) } }
    try Self.checkRoom(for: path, settings)

    progress.report(fraction: 0, message: "loading \(path.split(separator: "/").last.map(String.init) ?? path)")
    let watch = LoadWatch(progress: progress, isCancelled: isCancelled)
    let handle = try Self.load(path, settings, watch)
    do {
      voice = try voicePath.map(Self.loadVoice)
    } catch {
      swhisper_free(handle)
      throw error
    }
    id = model.id
    self.handle = handle
    info = swhisper_info(handle)
  }

  deinit {
    swhisper_voice_free(voice)
    // Last: it gives the heap's free pages back to the system.
    swhisper_free(handle)
  }

  private static func file(of model: ModelReference) throws(EngineError) -> String {
    let paths = model.files.filter { $0.role == "model" }.map(\.path)
    guard let path = paths.first else {
      throw EngineError(
        .badInput, "Model \(model.id) names no file of role \"model\": add its ggml file to the catalogue entry.")
    }
    guard paths.count == 1 else {
      throw EngineError(
        .badInput, "Model \(model.id) names \(paths.count) files of role \"model\": a whisper model is one file.")
    }
    return path
  }

  /// libwhisper does not notice when memory runs out until the system kills it.
  private static func checkRoom(for path: String, _ settings: ModelSettings) throws(EngineError) {
    var status = stat()
    guard !(settings.hasDevice && swhisper_device() != nil), stat(path, &status) == 0,
      let available = availableMemory(), Int(status.st_size) > available
    else { return }
    throw EngineError(
      .resource,
      "The model needs more than \(status.st_size >> 20) MiB of memory and \(available >> 20) MiB are available: "
        + "unload others or choose a smaller one.")
  }

  /// Bytes that the system can hand out without swapping, as the kernel estimates it.
  private static func availableMemory() -> Int? {
    guard let file = fopen("/proc/meminfo", "re") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, CInt(line.count), file) != nil {
      let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self).split(
        separator: " ")
      if words.count >= 2, words[0] == "MemAvailable:", let kilobytes = Int(words[1]) { return kilobytes << 10 }
    }
    return nil
  }

  private static func load(
    _ path: String, _ settings: ModelSettings, _ watch: LoadWatch
  ) throws(EngineError) -> OpaquePointer {
    var options = swhisper_load_options(
      threads: Int32(settings.threads), use_device: settings.hasDevice, beam_size: Int32(settings.beamSize))
    var handle: OpaquePointer?
    let context = Unmanaged.passUnretained(watch).toOpaque()
    try native { error in
      swhisper_load(
        path, &options,
        { fraction, context in
          guard let context else { return true }
          return Unmanaged<LoadWatch>.fromOpaque(context).takeUnretainedValue().advance(to: fraction)
        }, context, &handle, error)
    }
    guard let handle else { throw EngineError(.engineFault, "libwhisper returned no model") }
    return handle
  }

  private static func loadVoice(_ path: String) throws(EngineError) -> OpaquePointer {
    var handle: OpaquePointer?
    try native { swhisper_voice_load(path, &handle, $0) }
    guard let handle else { throw EngineError(.engineFault, "libwhisper returned no voice activity model") }
    return handle
  }
}

/// Receives the native side's progress while a model loads.
private final class LoadWatch {
  private let progress: ModelProgressReporter
  private let isCancelled: @Sendable () -> Bool
  private var reported: Float = 0

  init(progress: ModelProgressReporter, isCancelled: @escaping @Sendable () -> Bool) {
    self.progress = progress
    self.isCancelled = isCancelled
  }

  /// Returns false to give the load up. Reports every hundredth, and the end.
  func advance(to fraction: Float) -> Bool {
    if fraction - reported >= 0.01 || (fraction >= 1 && reported < 1) {
      reported = fraction
      progress.report(fraction: Double(fraction))
    }
    return !isCancelled()
  }
}
