import CStableDiffusion
import Glibc
import ImageTask
import PluginProtocol

/// A model in memory. It is given back when the last reference goes.
final class LoadedModel {
  let id: String
  let handle: OpaquePointer
  let info: ssd_model_info
  let defaults: ModelDefaults
  /// LoRA files by the names that prompts call them.
  let loras: [String: String]
  /// What the library calls the kind of model.
  let architecture: String

  /// Checks the files and loads the model; blocks until it is there.
  ///
  /// - Throws: `EngineError`, or `FieldError` for a wrong option.
  init(_ model: ModelReference, settings: EngineSettings, progress: ModelProgressReporter) throws {
    id = model.id
    let paths = try ModelRole.sorted(model)
    defaults = try ModelDefaults(options: model.options, samplers: samplerNames)
    let options = try settings.load.applying(try FieldReader(model.options, path: "model.options"))
    loras = Dictionary(paths[.lora, default: []].map { (ModelRole.loraName($0), $0) }) { first, _ in first }
    guard loras.count == paths[.lora, default: []].count else {
      throw EngineError(.badInput, "Model \(id) has two LoRA files of one name: rename one.")
    }
    for path in paths.values.joined() { try ModelFileCheck.run(path) }
    progress.report(fraction: 0, message: "loading \(id)")
    handle = try Self.load(paths, options, settings.threads, LoadWatch(progress))
    info = ssd_info(handle)
    architecture = withUnsafeBytes(of: info.architecture) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  deinit { ssd_free(handle) }

  private static func load(
    _ paths: [ModelRole: [String]], _ options: LoadOptions, _ threads: Int, _ watch: LoadWatch
  ) throws(EngineError) -> OpaquePointer {
    var strings: [UnsafeMutablePointer<CChar>?] = []
    defer { for string in strings { free(string) } }
    func path(_ role: ModelRole) -> UnsafePointer<CChar>? {
      guard let path = paths[role]?.first else { return nil }
      let copy = strdup(path)
      strings.append(copy)
      return UnsafePointer(copy)
    }
    var load = ssd_load_options()
    load.model = path(.model)
    load.diffusion_model = path(.diffusionModel)
    load.high_noise_diffusion_model = path(.highNoiseDiffusionModel)
    load.vae = path(.vae)
    load.text_encoder = path(.textEncoder)
    load.text_encoder_vision = path(.textEncoderVision)
    load.clip_l = path(.clipL)
    load.clip_g = path(.clipG)
    load.t5xxl = path(.t5xxl)
    load.clip_vision = path(.clipVision)
    load.threads = Int32(clamping: threads)
    load.offload_to_cpu = options.offloadsToProcessor
    load.use_mmap = options.usesMemoryMap
    load.zero_cond_t = options.zeroCondT
    load.max_vram_gib = Float(options.maxVramGib)
    var handle: OpaquePointer?
    try native { error in
      ssd_load(
        &load,
        { step, steps, context in
          guard let context else { return }
          Unmanaged<LoadWatch>.fromOpaque(context).takeUnretainedValue().advance(step, of: steps)
        }, Unmanaged.passUnretained(watch).toOpaque(), &handle, error)
    }
    watch.end()
    guard let handle else { throw EngineError(.engineFault, "libstable-diffusion returned no model") }
    return handle
  }
}

/// Receives the native side's progress while a model loads. The library counts each group of files from 0.
private final class LoadWatch {
  private let progress: ModelProgressReporter
  private var reported = 0.0

  init(_ progress: ModelProgressReporter) { self.progress = progress }

  /// Reports every hundredth that is new.
  func advance(_ step: Int32, of steps: Int32) {
    let fraction = min(0.99, Double(step) / Double(max(1, steps)))
    guard fraction - reported >= 0.01 else { return }
    reported = fraction
    progress.report(fraction: fraction)
  }

  func end() { progress.report(fraction: 1) }
}
