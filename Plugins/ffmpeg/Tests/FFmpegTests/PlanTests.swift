import PluginProtocol
import Testing

@testable import FFmpegTasks

@Suite struct PlanTests {
  private let settings = Settings()
  private let image = MediaInput(path: "/w/-i 'x':[0];.png", format: .png, size: PixelSize(10, 10))

  private func fields(_ task: JSONValue) throws -> FieldReader { try FieldReader(task, path: "task") }

  private func filter(_ plan: Plan, _ step: Int = 0) throws -> String {
    let arguments = plan.steps[step].arguments
    return arguments[try #require(arguments.firstIndex(of: "-filter_complex")) + 1]
  }

  @Test func textAndNamesStayOutOfFilters() throws {
    let request = try KenBurnsRequest(fields(["initImageUrl": "file:///x", "prompt": "%{x}'"]), settings)
    let plan = request.plan(image, settings)
    #expect(plan.steps[0].arguments.contains("file:/w/-i 'x':[0];.png"))
    #expect(try !filter(plan).contains("/w/"))
    #expect(try filter(plan).allSatisfy { $0.isASCII && $0 != "%" && $0 != "\\" })
  }

  @Test func inputsAreReadByOneDemuxerFromFilesOnly() throws {
    let arguments = image.inputArguments(settings)
    for (option, value) in [
      ("-protocol_whitelist", "file"), ("-format_whitelist", "png_pipe"), ("-f", "png_pipe"),
      ("-max_pixels", "67108864"),
    ] {
      let at = try #require(arguments.firstIndex(of: option))
      #expect(arguments[at + 1] == value)
    }
    #expect(arguments.suffix(2) == ["-i", "file:\(image.path)"])
  }

  @Test func slideshowsHaveExactlyTheirFrames() throws {
    for (count, seconds, fade) in [(2, 3.0, 0.5), (3, 3.0, 0.4), (7, 11.0, 1.0), (50, 50.0, 0.4), (1, 2.0, 0.0)] {
      let urls = JSONValue(Array(repeating: "file:///x", count: count))
      let task: JSONValue = [
        "imageUrls": urls, "seconds": JSONValue(seconds), "crossFadeSeconds": JSONValue(fade), "fps": 10,
      ]
      let request = try SlideshowRequest(fields(task), settings)
      let starts = request.starts
      #expect(starts.first == 0)
      // No image begins before the fade into the one before it has ended.
      #expect(zip(starts, starts.dropFirst()).allSatisfy { $1 - $0 >= request.fade })
      let plan = request.plan(Array(repeating: image, count: count), settings)
      #expect(plan.steps.count == count + 1)
      #expect(abs(plan.steps.reduce(0) { $0 + $1.share } - 1) < 1e-9)
      #expect(plan.frames == Int(seconds * 10))
    }
    #expect(throws: EngineError.self) {
      try SlideshowRequest(fields(["imageUrls": ["a", "b", "c"], "seconds": 0.05]), settings)
    }
  }

  @Test func transcodingKeepsTheShape() throws {
    func size(_ task: JSONValue, _ input: PixelSize) throws -> PixelSize {
      var members = task.object ?? [:]
      members["inputUrl"] = "file:///x"
      return try TranscodeRequest(fields(.object(members)), settings).outputSize(input, settings)
    }
    #expect(try size([:], PixelSize(321, 241)) == PixelSize(320, 240))
    #expect(try size(["width": 640], PixelSize(1920, 1080)) == PixelSize(640, 360))
    #expect(try size(["height": 90], PixelSize(1, 1)) == PixelSize(90, 90))
    #expect(try size(["width": 16], PixelSize(60_000, 1)) == PixelSize(16, 2))
    #expect(throws: EngineError.self) { try size([:], PixelSize(7680, 4320)) }
  }

  @Test func waveformsDrawWholeSamplesAColumn() throws {
    for (width, fps) in [(512, 24.0), (160, 10.0), (1920, 60.0), (222, 29.97)] {
      let task: JSONValue = ["inputUrl": "file:///x", "width": JSONValue(width), "fps": JSONValue(fps)]
      let rate = Double(try WaveformRequest(fields(task), settings).sampleRate)
      let perColumn = rate / (Double(width) * fps)
      #expect(rate >= 44_000 && abs(perColumn - perColumn.rounded()) < 0.001)
    }
  }

  @Test func seedsDecideTheMotion() throws {
    func filter(_ seed: UInt64) throws -> String {
      let request = try KenBurnsRequest(fields(["initImageUrl": "file:///x", "seed": JSONValue(seed)]), settings)
      return try self.filter(request.plan(image, settings))
    }
    #expect(try filter(5) == filter(5))
    #expect(try Set((0..<20).map { try filter($0) }).count == 20)
    #expect(try filter(.max) != filter(0))
  }

  @Test func numbersAreWrittenPlainly() {
    #expect(decimal(0.5) == "0.500000")
    #expect(decimal(-0.25) == "-0.250000")
    #expect(decimal(0.000001) == "0.000001")
    #expect(decimal(7200) == "7200.000000")
    #expect("\(FrameRate(29.97))" == "2997/100")
    #expect(FrameRate(printed: "30000/1001", maximum: 60)?.frames(10) == 300)
    #expect(FrameRate(printed: "0/0", maximum: 60) == nil)
    #expect(FrameRate(printed: "90000/1", maximum: 1000) == nil)
  }

  @Test func progressIsReadInAnyPieces() {
    let text = "frame=12\nfps=8.5\nout_time_us=N/A\ntotal_size=48\nprogress=continue\nframe= 24\nout_time_us=1500000\n"
    var parser = ProgressParser()
    var seen: [ToolProgress] = []
    for byte in Array(text.utf8) + Array("progress=end\n".utf8) {
      if let now = parser.feed([byte]) { seen.append(now) }
    }
    #expect(seen.map(\.frame) == [12, 24])
    #expect(seen.map(\.seconds) == [0, 1.5])
    #expect(seen.last?.rate == 8.5 && seen.last?.bytes == 48)
  }

  @Test func failuresSayWhoseTheyAre() {
    func failure(_ errors: String, _ ending: ToolFailure.Ending = .exited(1), input: Bool = true) -> EngineError {
      ToolFailure.error("ffmpeg", ending, errors: errors, paths: ["/w/secret"], readsInput: input)
    }
    #expect(failure("x: Cannot allocate memory").failure == .resource)
    #expect(failure("av_write: No space left on device").failure == .resource)
    #expect(failure("Unknown encoder 'libx264'").failure == .unsupported)
    #expect(failure("No such filter: 'drawtext'", input: false).failure == .unsupported)
    #expect(failure("Invalid data found").failure == .badInput)
    #expect(failure("Invalid data found", input: false).failure == .engineFault)
    #expect(failure("Unable to parse option value").failure == .engineFault)
    #expect(failure("", .signalled(11)).failure == .engineFault)
    #expect(failure("", .signalled(9)).failure == .resource)
    let shown = failure("one\n/w/secret/a.mp4:\u{1B}[31m moov atom not found\n")
    #expect(shown.message == "ffmpeg cannot read the input: …/a.mp4: [31m moov atom not found")
    #expect(shown.evidence?.contains("one") == true)
  }

  @Test func configurationIsChecked() throws {
    let resources = EngineResources(cpuThreads: 8, memoryBytes: 1 << 30)
    let read = try Settings(config: ["maxFps": 30, "ffmpegPath": ""], resources: resources, concurrency: 2)
    #expect(read.maxFps == 30 && read.threads == 4 && read.memoryBytes == 1 << 30 && read.ffmpegPath == nil)
    for config: JSONValue in [["maxFps": 0], ["memoryMiB": 1], ["ffmpegPath": "ffmpeg"], ["maxPixels": "x"]] {
      #expect(throws: (any Error).self) { try Settings(config: config, resources: resources, concurrency: 2) }
    }
  }
}
