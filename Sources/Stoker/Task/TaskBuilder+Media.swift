import Host
import PluginProtocol

/// The kinds that are about sound and pictures.
extension TaskBuilder {
  func speechToText() throws -> JSONValue {
    let input: String
    switch (flags.file, flags.url) {
    case (nil, nil): throw missing("--file PATH or --url URL")
    case (.some, .some): throw CLIError.usage("--file and --url both name the recording; leave one out")
    case (.some(let file), nil): input = file
    case (nil, .some(let url)):
      guard TaskInput.isURL(url) else {
        throw CLIError.usage("--url must begin with https://, http:// or data:, unlike \(url.quotedForMessage)")
      }
      input = url
    }
    if let timestamps = flags.timestamps, !["segment", "word"].contains(timestamps) {
      throw CLIError.usage("--timestamps must be segment or word, not \(timestamps.quotedForMessage)")
    }
    // It says how the result is written; the engine does not see it.
    _ = try format()
    return .compact([
      "inputUrl": try self.input(input), "language": try filled(flags.language, "--language"),
      "translate": flags.translate ? true : .null, "prompt": JSONValue(try flags.prompt.map { try textOrInput($0) }),
      "timestamps": JSONValue(flags.timestamps), "vad": flags.vad ? true : .null,
    ])
  }

  private func textOrInput(_ text: String) throws -> String { text == "-" ? try readText("-") : text }

  func textToSpeech() throws -> JSONValue {
    .compact([
      "text": .string(try words((flags.text, "--text"), (flags.textFile, "--text-file"))),
      "voice": try filled(flags.voice, "--voice"), "speed": JSONValue(try within(flags.speed, 0.1...10, "--speed")),
      "speaker": try speaker(), "language": try filled(flags.language, "--language"), "ext": try format(),
    ])
  }

  /// A speaker of a voice has a number, a name, or both.
  private func speaker() throws -> JSONValue {
    guard let speaker = flags.speaker, let number = Int(speaker) else { return try filled(flags.speaker, "--speaker") }
    return JSONValue(try within(number, 0...1_000_000, "--speaker"))
  }

  func image() throws -> JSONValue {
    let hasBase = flags.initImage != nil || flags.refImage != nil
    if flags.strength != nil, flags.initImage == nil {
      throw CLIError.usage("--strength says how much of --init-image is changed; give one")
    }
    if flags.mask != nil, !hasBase {
      throw CLIError.usage("--mask says which part of a picture is changed; give --init-image or --ref-image")
    }
    return .compact([
      "prompt": .string(try prompt()), "negativePrompt": JSONValue(flags.negativePrompt),
      "width": try side(flags.width, "--width"), "height": try side(flags.height, "--height"),
      "steps": JSONValue(try within(flags.steps, 1...10_000, "--steps")),
      "cfgScale": JSONValue(try within(flags.cfgScale, 0...100, "--cfg-scale")),
      "samplingMethod": try filled(flags.sampler, "--sampler"), "seed": JSONValue(flags.seed),
      "initImageUrl": try input(flags.initImage),
      "denoise": JSONValue(try within(flags.strength, 0...1, "--strength")), "maskUrl": try input(flags.mask),
      "refImageUrl": try input(flags.refImage), "ext": try format(),
    ])
  }

  func video() throws -> JSONValue {
    let hasInput = flags.initImage != nil || flags.file != nil || !flags.images.isEmpty
    let isSaid = flags.prompt != nil || flags.promptFile != nil
    guard hasInput || isSaid else {
      throw missing("--prompt TEXT, --init-image PATH, --image PATH or --file PATH")
    }
    return .compact([
      "prompt": isSaid ? .string(try prompt()) : .null, "negativePrompt": JSONValue(flags.negativePrompt),
      "seconds": JSONValue(try within(flags.seconds, 0.01...3600, "--seconds")),
      "fps": JSONValue(try within(flags.fps, 1...240, "--fps")), "width": try side(flags.width, "--width"),
      "height": try side(flags.height, "--height"), "seed": JSONValue(flags.seed),
      "initImageUrl": try input(flags.initImage),
      "imageUrls": flags.images.isEmpty ? .null : .array(try flags.images.map { try input($0) }),
      "inputUrl": try input(flags.file), "ext": try format(),
    ])
  }
}
