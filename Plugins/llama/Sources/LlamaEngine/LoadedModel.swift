import CLlama
import Glibc
import PluginProtocol

/// A model in memory. It is given back when the last reference goes.
final class LoadedModel {
  let id: String
  let handle: OpaquePointer
  let info: sllama_model_info
  /// `chatTemplateKwargs` of the model's options, if any.
  let templateDefaults: JSONValue?
  /// A generation is in progress.
  var isBusy = false

  /// Checks the files and loads the model; blocks until it is there.
  ///
  /// - Parameter isCancelled: asked between steps of the load.
  /// - Throws: `EngineError`, or `FieldError` for a wrong option.
  init(
    _ model: ModelReference, settings: ModelSettings, progress: ModelProgressReporter,
    isCancelled: @escaping @Sendable () -> Bool
  ) throws {
    id = model.id
    let settings = try settings.applying(model.options)
    templateDefaults = try FieldReader(model.options, path: "model.options").object("chatTemplateKwargs")
    let paths = model.files.filter { $0.role == "model" }.map(\.path)
    guard let first = paths.first else {
      throw EngineError(
        .badInput, "Model \(id) names no file of role \"model\": add its GGUF file to the catalogue entry.")
    }
    for path in paths { try native { error in sllama_inspect(path, error) } }
    var options = sllama_load_options(
      context_size: Int32(settings.contextSize), threads: Int32(clamping: settings.threads),
      gpu_layers: Int32(settings.gpuLayers), use_mmap: settings.usesMemoryMap)
    progress.report(fraction: 0, message: "loading \(first.split(separator: "/").last.map(String.init) ?? first)")
    let watch = LoadWatch(progress: progress, isCancelled: isCancelled)
    handle = try Self.load(paths, &options, watch)
    info = sllama_info(handle)
  }

  deinit { sllama_free(handle) }

  private static func load(
    _ paths: [String], _ options: inout sllama_load_options, _ watch: LoadWatch
  ) throws(EngineError) -> OpaquePointer {
    var pointers = paths.map { path in UnsafePointer<CChar>(strdup(path)) }
    defer { for pointer in pointers { free(UnsafeMutableRawPointer(mutating: pointer)) } }
    var handle: OpaquePointer?
    let context = Unmanaged.passUnretained(watch).toOpaque()
    try native { error in
      sllama_load(
        &pointers, pointers.count, &options,
        { fraction, context in
          guard let context else { return true }
          return Unmanaged<LoadWatch>.fromOpaque(context).takeUnretainedValue().advance(to: fraction)
        }, context, &handle, error)
    }
    guard let handle else { throw EngineError(.engineFault, "libllama returned no model") }
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
