import FFmpegTasks
import PluginProtocol
import Synchronization

/// Serves the kind `video` with the installed ffmpeg command: plain media work, which each result says it is.
final class FFmpegEngine: Engine {
  private static let concurrency = 2

  let information = EngineInformation(
    name: "ffmpeg", version: "1.0.0", features: [.progress], concurrency: concurrency,
    lineBytes: LineFramer.maximumLineBytes)

  /// Written once, by `initialize`, before any job.
  private let settings = Mutex(Settings())

  func initialize(_ parameters: InitializeParameters) async throws -> [String]? {
    let read = try Settings(
      config: parameters.config, resources: parameters.resources, concurrency: Self.concurrency)
    settings.withLock { $0 = read }
    return nil
  }

  func run(_ job: EngineJob) async throws -> JobRunResult {
    let settings = settings.withLock { $0 }
    let model = try MediaModel(kind: job.kind, id: job.modelID)
    let task = try job.taskFields()
    let inputs = InputFiles(workDirectory: job.workDirectory, settings: settings)
    // What is wrong with the task is said before what is wrong with the machine.
    switch model {
    case .kenBurns:
      let request = try KenBurnsRequest(task, settings)
      let image = try inputs.image(request.imageURL, name: "task.initImageUrl")
      return try await runner(job, settings, task).run(request.plan(image, settings), inputs: [image])
    case .title:
      let request = try TitleRequest(task, settings)
      let runner = try runner(job, settings, task)
      let (font, path) = try FontFinder.find(settings.fontFile)
      return try await runner.run(try request.plan(font, path: path, settings), inputs: [])
    case .slideshow:
      let request = try SlideshowRequest(task, settings)
      let images = try request.imageURLs.enumerated().map {
        try inputs.image($1, name: "task.imageUrls[\($0)]")
      }
      return try await runner(job, settings, task).run(request.plan(images, settings), inputs: images)
    case .transcode:
      let request = try TranscodeRequest(task, settings)
      let media = try inputs.media(request.inputURL, name: "task.inputUrl")
      let runner = try runner(job, settings, task)
      return try await runner.run(
        try request.plan(media, try await runner.probe(media), settings), inputs: [media])
    case .waveform:
      let request = try WaveformRequest(task, settings)
      let media = try inputs.media(request.inputURL, name: "task.inputUrl")
      let runner = try runner(job, settings, task)
      return try await runner.run(
        try request.plan(media, try await runner.probe(media), settings), inputs: [media])
    }
  }

  private func runner(_ job: EngineJob, _ settings: Settings, _ task: FieldReader) throws -> JobRunner {
    JobRunner(job: job, settings: settings, tools: try Tools.find(settings.ffmpegPath), task: task)
  }
}
