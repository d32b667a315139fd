import CStableDiffusion
import Glibc
import ImageTask
import PluginProtocol

/// One job's way through the model: pictures in, steps, picture out. Blocks the compute thread.
struct Drawing {
  let job: EngineJob
  let model: LoadedModel
  let settings: EngineSettings

  func run() throws -> JobRunResult {
    var task = try ImageTask(
      try job.taskFields(), isVideo: job.kind == "video", defaults: model.defaults, loras: Array(model.loras.keys),
      samplers: samplerNames, randomSeed: { .random(in: 0 ... .max) })
    try checkAbilities(task)
    align(&task)
    try PictureLimits.check(drawing: task, available: AvailableMemory.bytes(bound: settings.memoryBytes))
    job.progress(fraction: 0, stage: "encoding")
    var frames = ssd_frames()
    defer { ssd_frames_free(&frames) }
    let pictures = try pictures(task)
    try withExtendedLifetime(pictures) { try draw(task, pictures, into: &frames) }
    try job.checkCancelled()
    let file = try ResultFile.write(frames, task: task, quality: settings.quality, in: job.workDirectory)
    return JobRunResult(
      output: output(task, frames), artifacts: [file], usage: ["steps": JSONValue(task.steps)])
  }

  /// Refuses what this kind of model would silently leave out.
  private func checkAbilities(_ task: ImageTask) throws {
    guard job.kind == "video" ? model.info.makes_video : model.info.makes_images else {
      throw EngineError(
        .unsupported,
        "Model \(model.id) (\(model.architecture)) makes \(job.kind == "video" ? "images" : "video"), not \(job.kind).")
    }
    if task.source != .nothing, !model.info.reads_images {
      throw EngineError(
        .unsupported,
        "Model \(model.id) has no encoder for images: add a whole autoencoder as its file of role \"vae\".")
    }
    switch task.source {
    case .reference where !PictureLimits.readsReference(architecture: model.architecture) || task.video != nil:
      throw EngineError(
        .unsupported,
        "Model \(model.id) (\(model.architecture)) takes no reference image: use initImageUrl, or a model for editing.")
    case .initial(_, let mask?) where task.video != nil:
      job.log(.warn, "A video takes no mask: \(mask.prefix(80)) is not used.")
    case .nothing where job.task["maskUrl"] != nil:
      job.log(.warn, "The mask is not used: it needs initImageUrl or refImageUrl.")
    default: break
    }
  }

  private func align(_ task: inout ImageTask) {
    let multiple = PictureLimits.multiple(architecture: model.architecture)
    let size = (task.width, task.height)
    task.width = PictureLimits.aligned(task.width, to: multiple)
    task.height = PictureLimits.aligned(task.height, to: multiple)
    if size != (task.width, task.height) {
      job.log(
        .info,
        "\(size.0) × \(size.1) becomes \(task.width) × \(task.height): this model needs multiples of \(multiple).")
    }
  }

  /// The pictures that a task starts from.
  private struct Pictures {
    var initial: InputPicture?
    var mask: InputPicture?
    var reference: InputPicture?
  }

  private func pictures(_ task: ImageTask) throws -> Pictures {
    let size = InputPicture.Size(width: task.width, height: task.height)
    func mask(_ url: String?) throws -> InputPicture? {
      guard task.video == nil else { return nil }
      return try url.map { try InputPicture($0, name: "task.maskUrl", fit: .mask(size)) }
    }
    switch task.source {
    case .nothing: return Pictures()
    case .initial(let url, let maskURL):
      let initial = try InputPicture(url, name: "task.initImageUrl", fit: .cover(size))
      return Pictures(initial: initial, mask: try mask(maskURL))
    case .reference(let url, let maskURL):
      // As many pixels as the library looks at.
      let reference = try InputPicture(url, name: "task.refImageUrl", fit: .within(pixels: 1 << 20))
      return Pictures(mask: try mask(maskURL), reference: reference)
    }
  }

  private func draw(_ task: ImageTask, _ pictures: Pictures, into frames: inout ssd_frames) throws {
    try job.checkCancelled()
    var strings: [UnsafeMutablePointer<CChar>?] = []
    defer { for string in strings { free(string) } }
    func copy(_ text: String) -> UnsafePointer<CChar>? {
      let copied = strdup(text)
      strings.append(copied)
      return UnsafePointer(copied)
    }
    let chosen = task.loras.sorted { $0.key < $1.key }.compactMap { lora in
      model.loras[lora.key].map { (path: $0, weight: lora.value) }
    }
    let paths = chosen.map { copy($0.path) }
    let weights = chosen.map { Float($0.weight) }
    var request = ssd_request()
    if let picture = pictures.initial { request.initial = picture.native }
    if let picture = pictures.mask { request.mask = picture.native }
    if let picture = pictures.reference { request.reference = picture.native }
    request.prompt = copy(task.prompt)
    request.negative_prompt = copy(task.negativePrompt)
    request.width = Int32(task.width)
    request.height = Int32(task.height)
    request.steps = Int32(task.steps)
    request.cfg_scale = Float(task.cfgScale)
    request.sampler = task.sampler.flatMap(copy)
    request.flow_shift = Float(task.flowShift)
    request.seed = task.seed
    request.strength = Float(task.strength)
    request.frames = Int32(task.video?.frames ?? 0)
    let watch = StepWatch(job)
    try paths.withUnsafeBufferPointer { paths in
      try weights.withUnsafeBufferPointer { weights in
        request.lora_paths = paths.baseAddress
        request.lora_weights = weights.baseAddress
        request.lora_count = paths.count
        try native { error in
          ssd_generate(
            model.handle, &request,
            { context in context.map { StepWatch.of($0).isCancelled } ?? false },
            { step, steps, context in context.map { StepWatch.of($0).advance(Int(step), of: Int(steps)) } },
            Unmanaged.passUnretained(watch).toOpaque(), &frames, error)
        }
      }
    }
  }

  private func output(_ task: ImageTask, _ frames: ssd_frames) -> JSONValue {
    .compact([
      "width": JSONValue(frames.width), "height": JSONValue(frames.height), "seed": JSONValue(task.seed),
      "steps": JSONValue(task.steps), "cfgScale": .double(task.cfgScale), "samplingMethod": JSONValue(task.sampler),
      "ext": .string(task.format.ext), "frames": task.video == nil ? .null : JSONValue(frames.count),
      "fps": JSONValue(task.video?.framesPerSecond),
    ])
  }
}

/// Turns the library's steps into the job's progress.
private final class StepWatch {
  private let job: EngineJob
  /// What share of the work the steps are taken for; the rest is decoding.
  private static let share = 0.9
  private var reported = 0.0

  init(_ job: EngineJob) { self.job = job }

  static func of(_ context: UnsafeMutableRawPointer) -> StepWatch {
    Unmanaged<StepWatch>.fromOpaque(context).takeUnretainedValue()
  }

  var isCancelled: Bool { job.isCancelled }

  /// A video's model of two parts counts twice; the fraction never goes back.
  func advance(_ step: Int, of steps: Int) {
    reported = max(reported, Self.share * Double(step) / Double(max(1, steps)))
    job.progress(fraction: reported, step: step, steps: steps, stage: "sampling")
    if step == steps { job.progress(fraction: reported, step: step, steps: steps, stage: "decoding") }
  }
}
