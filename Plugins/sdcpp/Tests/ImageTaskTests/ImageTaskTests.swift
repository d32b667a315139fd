import ImageTask
import PluginProtocol
import Testing

/// A task as a coordinator writes it, with what it leaves out.
func task(
  _ members: [String: JSONValue] = [:], isVideo: Bool = false, options: JSONValue = [:], loras: [String] = [],
  randomSeed: UInt32 = 99
) throws -> ImageTask {
  let samplers = ["euler", "euler_a", "dpm++2m"]
  var all = members
  if all["prompt"] == nil { all["prompt"] = "an owl" }
  return try ImageTask(
    try FieldReader(.object(all), path: "task"), isVideo: isVideo,
    defaults: try ModelDefaults(options: options, samplers: samplers), loras: loras, samplers: samplers,
    randomSeed: { randomSeed })
}

/// What refuses the expression, as class and sentence.
func refusal(_ body: () throws -> some Any) -> (kind: FailureClass, message: String)? {
  do {
    _ = try body()
    return nil
  } catch let error as EngineError {
    return (error.failure, error.message)
  } catch {
    // A wrong type: the kit answers it as the caller's fault.
    return (.badInput, "\(error)")
  }
}

@Suite struct ImageTaskTests {
  @Test func whatNobodyChoseIsTheStudiosDefault() throws {
    let task = try task()
    #expect((task.width, task.height) == (1024, 1024))
    #expect(task.steps == 8)
    #expect(task.cfgScale == 1)
    #expect(task.sampler == nil)
    #expect(task.strength == 0.75)
    #expect(task.format == .webp)
    #expect(task.source == .nothing)
    #expect(task.negativePrompt == "")
    #expect(task.video == nil)
  }

  @Test func theTaskGoesBeforeTheModelAndTheModelBeforeTheDefault() throws {
    let options: JSONValue = [
      "width": 640, "height": 0, "steps": 4, "cfgScale": 7.5, "samplingMethod": "euler", "flowShift": 3,
    ]
    let model = try task(options: options)
    #expect((model.width, model.height) == (640, 1024))
    #expect(model.steps == 4)
    #expect(model.cfgScale == 7.5)
    #expect(model.sampler == "euler")
    #expect(model.flowShift == 3)
    let own = try task(
      ["width": 512, "height": 256, "steps": 3, "cfgScale": 2, "samplingMethod": "dpm++2m"], options: options)
    #expect((own.width, own.height) == (512, 256))
    #expect(own.steps == 3)
    #expect(own.cfgScale == 2)
    #expect(own.sampler == "dpm++2m")
  }

  @Test(arguments: [(0, 4), (20, 4), (19, 19), (21, 21)])
  func zeroAndTwentyStepsMeanNotChosen(given: Int, used: Int) throws {
    #expect(try task(["steps": JSONValue(given)], options: ["steps": 4]).steps == used)
    #expect(try task(["steps": JSONValue(given)]).steps == (used == 4 ? 8 : used))
  }

  @Test func zeroAndLessIsNoScale() throws {
    #expect(try task(["cfgScale": 0], options: ["cfgScale": 5]).cfgScale == 5)
    #expect(try task(["cfgScale": -1], options: ["cfgScale": 0]).cfgScale == 1)
  }

  @Test func aSeedIsKeptAndARandomOneIsDrawn() throws {
    #expect(try task(["seed": 7]).seed == 7)
    #expect(try task(["seed": 0]).seed == 0)
    #expect(try task(randomSeed: 1234).seed == 1234)
    // The library takes negative seeds for "random".
    #expect(try task(["seed": .uint(.max)]).seed == .max)
    #expect(refusal { try task(["seed": -1]) }?.kind == .badInput)
  }

  @Test func aReferenceGoesBeforeAnInitialImageAndAMaskNeedsOne() throws {
    let all: [String: JSONValue] = ["refImageUrl": "file:///r", "initImageUrl": "file:///i", "maskUrl": "file:///m"]
    #expect(try task(all).source == .reference(url: "file:///r", maskURL: "file:///m"))
    #expect(
      try task(all.filter { $0.key != "refImageUrl" }).source == .initial(url: "file:///i", maskURL: "file:///m"))
    #expect(try task(["maskUrl": "file:///m"]).source == .nothing)
    #expect(try task(["initImageUrl": .null, "denoise": 0.5]).source == .nothing)
  }

  @Test(arguments: [
    ("png", PictureFormat.png), ("PNG", .png), ("jpg", .jpg), ("jpeg", .jpg), ("webp", .webp), ("bmp", .bmp),
    ("gif", .webp), ("", .webp), ("../x", .webp),
  ])
  func otherEndingsGiveWebp(ext: String, format: PictureFormat) throws {
    #expect(try task(["ext": .string(ext)]).format == format)
    #expect(try task(["ext": .string(ext)], isVideo: true).format == .webp)
  }

  @Test func wrongValuesNameTheMember() throws {
    let wrong: [([String: JSONValue], String)] = [
      (["width": 60_000, "height": 60_000], "task.width"), (["height": -8], "task.height"), (["width": "x"], "width"),
      (["steps": 1001], "task.steps"), (["cfgScale": 1e9], "task.cfgScale"), (["denoise": 1.5], "task.denoise"),
      (["samplingMethod": "magic"], "euler, euler_a, dpm++2m"), (["prompt": .string("a\0b")], "task.prompt"),
      (["width": 8192, "height": 8192], "4096 × 4096"), (["prompt": .null], "task.prompt"),
      (["prompt": .string(String(repeating: "a", count: 10_000_000))], "10000000 bytes"),
      (["negativePrompt": .string(String(repeating: "a", count: 16385))], "task.negativePrompt"),
    ]
    for (members, part) in wrong {
      var given = members
      if given["prompt"] == .null { given["prompt"] = 3 }
      let found = refusal { try task(given) }
      #expect(found?.kind == .badInput)
      #expect(found?.message.contains(part) == true, "\(found?.message ?? "accepted") for \(part)")
    }
  }

  @Test func wrongOptionsOfAModelNameTheOption() {
    #expect(refusal { try task(options: ["samplingMethod": "magic"]) }?.message.contains("model.options") == true)
    #expect(refusal { try task(options: ["width": -1]) }?.message.contains("model.options.width") == true)
    #expect(
      LoadOptions.unknown(in: ["steps": 1, "mmap": true, "contextSize": 4, "zeroCondT": true]) == ["contextSize"])
  }

  @Test func loadOptionsOfAModelReplaceTheConfiguration() throws {
    let config = try LoadOptions().applying(try FieldReader(["offloadToCpu": true, "mmap": true]))
    let model = try config.applying(try FieldReader(["mmap": false, "maxVramGib": 6, "zeroCondT": true]))
    #expect(model.offloadsToProcessor)
    #expect(!model.usesMemoryMap)
    #expect(model.maxVramGib == 6)
    #expect(model.zeroCondT)
  }

  @Test func videosHaveFourFramesAStepAfterTheFirst() throws {
    let usual = try #require(try task(isVideo: true).video)
    #expect((usual.frames, usual.framesPerSecond) == (33, 16))
    let short = try #require(try task(["seconds": 0.1, "fps": 10, "width": 512], isVideo: true).video)
    #expect(short.frames == 1)
    #expect(try task(isVideo: true, options: ["fps": 24]).video?.frames == 49)
    #expect(refusal { try task(["seconds": 60, "fps": 60], isVideo: true) }?.message.contains("shorter") == true)
    let large = refusal { try task(["width": 4096, "height": 4096, "seconds": 2], isVideo: true) }
    #expect(large?.message.contains("too many") == true)
  }
}
