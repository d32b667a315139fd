import ArgumentParser
import Host
import PluginProtocol

/// The kind and everything that describes a job; shared by `submit` and `exec`.
struct TaskOptions: ParsableArguments {
  @Argument(
    help: "What is wanted: llm, stt, tts, image or video (audio_stt and audio_tts are the long names).",
    completion: .list(["llm", "stt", "tts", "image", "video"]))
  var kind: String?

  @Option(help: ArgumentHelp("The model's id; may be left out when one engine serves the kind.", valueName: "id"))
  var model: String?
  @Option(help: ArgumentHelp("-100 to 100; the higher, the sooner.", valueName: "n"))
  var priority: Int?
  @Option(help: ArgumentHelp("When the job is pointless: 90s, 10m, 2h from now.", valueName: "time"))
  var deadline: String?
  @Option(help: ArgumentHelp("Submitting again with the same key gives the same job.", valueName: "key"))
  var idempotencyKey: String?
  @Option(help: ArgumentHelp("A note kept with the job; may be repeated.", valueName: "key=value"))
  var label: [String] = []
  @Option(
    help: ArgumentHelp("The whole job as JSON: {\"kind\", \"model\", \"task\": {…}, …}.", valueName: "file.json"),
    completion: .file(extensions: ["json"]))
  var job: String?

  @Option(
    help: ArgumentHelp(
      "llm, image, video: what to make; - reads stdin. stt: words that the recording is likely to begin with or to hold.",
      valueName: "text"))
  var prompt: String?
  @Option(
    help: ArgumentHelp("llm, image, video: the prompt from a file; - is stdin.", valueName: "file"), completion: .file()
  )
  var promptFile: String?
  @Option(help: ArgumentHelp("image, video: what not to show.", valueName: "text"))
  var negativePrompt: String?
  @Option(help: ArgumentHelp("llm: a JSON array of {role, content}.", valueName: "file"), completion: .file())
  var messages: String?
  @Option(help: ArgumentHelp("llm: the system prompt.", valueName: "text"))
  var system: String?
  @Option(help: ArgumentHelp("llm: most tokens to generate.", valueName: "n"))
  var maxTokens: Int?
  @Option(help: ArgumentHelp("llm: 0 is always the likeliest token.", valueName: "x"))
  var temperature: Double?
  @Option(help: ArgumentHelp("llm: nucleus sampling, 0 to 1.", valueName: "x"))
  var topP: Double?
  @Option(help: ArgumentHelp("llm: end before this text; may be repeated.", valueName: "text"))
  var stop: [String] = []
  @Option(help: ArgumentHelp("llm, image, video: the same seed gives the same result.", valueName: "n"))
  var seed: UInt64?
  @Option(
    help: ArgumentHelp("stt: the recording. video: what to convert or to draw. - reads stdin.", valueName: "path"),
    completion: .file())
  var file: String?
  @Option(help: ArgumentHelp("stt: the recording's URL, instead of --file.", valueName: "url"))
  var url: String?
  @Option(
    help: ArgumentHelp("stt, tts: the language spoken, such as en; stt finds it out without.", valueName: "code"))
  var language: String?
  @Flag(help: "stt: write what is said in English.")
  var translate = false
  @Option(
    help: ArgumentHelp("stt: times of segments, or of words too.", valueName: "segment|word"),
    completion: .list(["segment", "word"]))
  var timestamps: String?
  @Flag(help: "stt: leave out what is not speech; needs a model for it.")
  var vad = false
  @Option(help: ArgumentHelp("tts: what to say; - reads stdin.", valueName: "text"))
  var text: String?
  @Option(help: ArgumentHelp("tts: what to say, from a file; - is stdin.", valueName: "file"), completion: .file())
  var textFile: String?
  @Option(help: ArgumentHelp("tts: the voice.", valueName: "name"))
  var voice: String?
  @Option(help: ArgumentHelp("tts: 1 is the voice's own speed.", valueName: "x"))
  var speed: Double?
  @Option(help: ArgumentHelp("tts: which of a voice's speakers.", valueName: "n|name"))
  var speaker: String?
  @Option(help: ArgumentHelp("image, video: pixels.", valueName: "n"))
  var width: Int?
  @Option(help: ArgumentHelp("image, video: pixels.", valueName: "n"))
  var height: Int?
  @Option(help: ArgumentHelp("image: sampling steps.", valueName: "n"))
  var steps: Int?
  @Option(help: ArgumentHelp("image: how closely to follow the prompt.", valueName: "x"))
  var cfgScale: Double?
  @Option(help: ArgumentHelp("image: the sampling method, as the engine calls it.", valueName: "name"))
  var sampler: String?
  @Option(
    help: ArgumentHelp("image, video: the picture to begin with; - reads stdin.", valueName: "path|url"),
    completion: .file())
  var initImage: String?
  @Option(help: ArgumentHelp("image: how much of --init-image is changed, 0 to 1.", valueName: "x"))
  var strength: Double?
  @Option(
    help: ArgumentHelp("image: white where the picture is changed; - reads stdin.", valueName: "path|url"),
    completion: .file())
  var mask: String?
  @Option(
    help: ArgumentHelp("image: a picture to edit by the prompt; - reads stdin.", valueName: "path|url"),
    completion: .file())
  var refImage: String?
  @Option(
    help: ArgumentHelp("video: a picture of a slide show; may be repeated; - reads stdin.", valueName: "path|url"),
    completion: .file())
  var image: [String] = []
  @Option(
    help: ArgumentHelp(
      "What is made (png, jpg, webp; mp4, webm, gif, webp; wav, mp3, ogg, opus, flac), or, for stt, how the transcript is "
        + "written (txt, json, srt, vtt). Without it the ending of -o says.", valueName: "name"))
  var format: String?
  @Option(help: ArgumentHelp("video: its length.", valueName: "x"))
  var seconds: Double?
  @Option(help: ArgumentHelp("video: frames a second.", valueName: "n"))
  var fps: Int?

  /// The request that these options stand for.
  ///
  /// - Parameter output: where the result is to be written; its ending is the format when none was named.
  func request(writingTo output: String?) throws -> JobSubmission {
    if let output { try ResultWriter.checkPlace(output) }
    var builder = builder
    try builder.adoptFormat(ofOutput: output)
    return try builder.request()
  }

  var builder: JobRequestBuilder {
    JobRequestBuilder(
      kind: kind, jobFile: job,
      flags: TaskFlags(
        prompt: prompt, promptFile: promptFile, negativePrompt: negativePrompt, messages: messages, system: system,
        maxTokens: maxTokens, temperature: temperature, topP: topP, stop: stop, seed: seed, file: file, url: url,
        language: language, translate: translate, timestamps: timestamps, vad: vad, text: text, textFile: textFile,
        voice: voice, speed: speed, speaker: speaker, width: width, height: height, steps: steps, cfgScale: cfgScale,
        sampler: sampler, initImage: initImage, strength: strength, mask: mask, refImage: refImage, images: image,
        format: format, seconds: seconds, fps: fps),
      common: JobFlags(
        model: model, priority: priority, deadline: deadline, idempotencyKey: idempotencyKey, labels: label))
  }
}
