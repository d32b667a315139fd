import Host
import PluginProtocol
import Testing

@testable import stoker

struct TaskBuilderTests {
  private func build(_ kind: String?, _ flags: TaskFlags, file: String = "", common: JobFlags = JobFlags()) throws
    -> JSONValue
  {
    try JobRequestBuilder(
      kind: kind, flags: flags, common: common, readText: { _ in file.isEmpty ? "from a file" : file },
      locate: { "/data/" + $0 }
    ).request().params
  }

  static let tasks: [(String, TaskFlags, String, JSONValue)] = [
    (
      "llm",
      TaskFlags(
        prompt: "Hi", system: "Be brief", maxTokens: 5, temperature: 0, topP: 0.9, stop: ["\n", "END"], seed: .max),
      "llm",
      [
        "messages": [["role": "user", "content": "Hi"]], "system": "Be brief", "maxTokens": 5, "temperature": 0.0,
        "topP": 0.9, "stop": ["\n", "END"], "seed": .uint(.max),
      ]
    ),
    (
      "stt", TaskFlags(file: "my talk.wav", language: "en"), "audio_stt",
      ["inputUrl": "file:///data/my%20talk.wav", "language": "en"]
    ),
    ("audio_stt", TaskFlags(file: "https://x.test/a.wav"), "audio_stt", ["inputUrl": "https://x.test/a.wav"]),
    ("stt", TaskFlags(url: "HTTPS://x.test/a b"), "audio_stt", ["inputUrl": "HTTPS://x.test/a b"]),
    (
      "stt",
      TaskFlags(
        prompt: "Stoker", file: "-", language: "de", translate: true, timestamps: "word", vad: true, format: "SRT"),
      "audio_stt",
      [
        "inputUrl": "-", "language": "de", "translate": true, "prompt": "Stoker", "timestamps": "word", "vad": true,
      ]
    ),
    (
      "tts", TaskFlags(language: "en", text: "Hello", speaker: "3", format: "FLAC"), "audio_tts",
      ["text": "Hello", "speaker": 3, "language": "en", "ext": "flac"]
    ),
    ("tts", TaskFlags(textFile: "t.txt", speaker: "amy"), "audio_tts", ["text": "from a file", "speaker": "amy"]),
    (
      "tts", TaskFlags(text: "Hello", voice: "joe", speed: 1.5), "audio_tts",
      ["text": "Hello", "voice": "joe", "speed": 1.5]
    ),
    (
      "image", TaskFlags(prompt: "A cat", seed: 3, width: 64, height: 32, steps: 2, format: "PNG"), "image",
      ["prompt": "A cat", "width": 64, "height": 32, "steps": 2, "seed": 3, "ext": "png"]
    ),
    (
      "image",
      TaskFlags(
        prompt: "A cat", negativePrompt: "dogs", cfgScale: 7.5, sampler: "euler_a", initImage: "a b.png", strength: 0.5,
        mask: "mäsk.png", refImage: "data:image/png;base64,AA=="), "image",
      [
        "prompt": "A cat", "negativePrompt": "dogs", "cfgScale": 7.5, "samplingMethod": "euler_a",
        "initImageUrl": "file:///data/a%20b.png", "denoise": 0.5, "maskUrl": "file:///data/m%C3%A4sk.png",
        "refImageUrl": "data:image/png;base64,AA==",
      ]
    ),
    (
      "video", TaskFlags(seed: 7, initImage: "-", images: ["1.png", "https://x.test/2.png"], seconds: 3), "video",
      [
        "seconds": 3.0, "seed": 7, "initImageUrl": "-",
        "imageUrls": ["file:///data/1.png", "https://x.test/2.png"],
      ]
    ),
    (
      "video", TaskFlags(file: "in.mov", format: "webm"), "video",
      ["inputUrl": "file:///data/in.mov", "ext": "webm"]
    ),
    (
      "video", TaskFlags(prompt: "A cat", width: 64, height: 64, format: "mp4", seconds: 1.5, fps: 12), "video",
      ["prompt": "A cat", "seconds": 1.5, "fps": 12, "width": 64, "height": 64, "ext": "mp4"]
    ),
  ]

  @Test(arguments: tasks)
  func flagsBecomeATask(_ kind: String, _ flags: TaskFlags, _ wireKind: String, _ task: JSONValue) throws {
    let request = try build(kind, flags)
    #expect(request == ["kind": .string(wireKind), "task": task])
  }

  static let refusals: [(String?, TaskFlags, String)] = [
    ("llm", TaskFlags(), "llm needs --prompt TEXT"),
    ("llm", TaskFlags(prompt: " \n"), "--prompt is empty"),
    ("llm", TaskFlags(prompt: "a", voice: "b"), "--voice does not belong to llm"),
    ("tts", TaskFlags(prompt: "a"), "--prompt does not belong to tts, which takes --text"),
    ("llm", TaskFlags(prompt: "a", promptFile: "b"), "leave one out"),
    ("llm", TaskFlags(prompt: "a", messages: "b"), "--messages holds the whole conversation"),
    ("llm", TaskFlags(prompt: "a", maxTokens: 0), "--max-tokens must be from 1"),
    ("llm", TaskFlags(prompt: "a", temperature: -1), "--temperature must be from 0.0"),
    ("llm", TaskFlags(prompt: "a", temperature: .nan), "--temperature must be"),
    ("llm", TaskFlags(prompt: "a", topP: 1.1), "--top-p must be from 0.0 to 1.0, not 1.1"),
    ("llm", TaskFlags(prompt: "a", stop: [""]), "--stop must not be empty"),
    ("image", TaskFlags(prompt: "a", width: 1), "--width must be from 16"),
    ("image", TaskFlags(prompt: "a", format: "../x"), "--format '../x' is not one of image, which knows png, jpg"),
    ("image", TaskFlags(prompt: "a", format: "mp4"), "which knows png, jpg, jpeg, webp"),
    ("video", TaskFlags(prompt: "a", format: "png"), "which knows mp4, webm, gif, webp"),
    ("tts", TaskFlags(text: "a", format: "srt"), "which knows wav, mp3, ogg, opus, flac"),
    ("stt", TaskFlags(file: "a", format: "wav"), "which knows txt, json, srt, vtt"),
    ("llm", TaskFlags(prompt: "a", format: "txt"), "--format does not belong to llm"),
    ("stt", TaskFlags(file: "a", url: "https://x.test"), "leave one out"),
    ("stt", TaskFlags(url: "ftp://x.test/a"), "--url must begin with https://"),
    ("stt", TaskFlags(file: "a", timestamps: "page"), "--timestamps must be segment or word"),
    ("stt", TaskFlags(prompt: "-", file: "-"), "stdin can be read once; give - to one of --prompt, --file only"),
    ("video", TaskFlags(images: ["-", "-"]), "stdin can be read once"),
    ("image", TaskFlags(prompt: "a", strength: 0.5), "give one"),
    ("image", TaskFlags(prompt: "a", initImage: "i", strength: 1.5), "--strength must be from 0.0 to 1.0"),
    ("image", TaskFlags(prompt: "a", mask: "m"), "give --init-image or --ref-image"),
    ("image", TaskFlags(prompt: "a", sampler: ""), "--sampler must not be empty"),
    ("tts", TaskFlags(text: "a", speaker: "-1"), "--speaker must be from 0"),
    ("tts", TaskFlags(text: "a", textFile: "b"), "leave one out"),
    ("video", TaskFlags(), "video needs --prompt TEXT, --init-image PATH"),
    ("video", TaskFlags(prompt: "a", fps: 0), "--fps must be"),
    ("stt", TaskFlags(), "stt needs --file PATH"),
    ("imgae", TaskFlags(prompt: "a"), "did you mean 'image'?"),
    ("poetry", TaskFlags(prompt: "a"), "use one of llm, stt, tts, image, video"),
    (nil, TaskFlags(prompt: "a"), "say which kind of job"),
  ]

  @Test(arguments: refusals)
  func wrongUsageIsNamed(_ kind: String?, _ flags: TaskFlags, _ message: String) {
    #expect {
      try build(kind, flags)
    } throws: { error in
      let failure = CLIError(error)
      return failure.status == .usage && failure.message.contains(message)
    }
  }

  @Test func everyFlagBelongsToSomeKind() {
    let all = TaskFlags(
      prompt: "", promptFile: "", negativePrompt: "", messages: "", system: "", maxTokens: 1, temperature: 1, topP: 1,
      stop: ["a"], seed: 1, file: "", url: "", language: "", translate: true, timestamps: "", vad: true, text: "",
      textFile: "", voice: "", speed: 1, speaker: "", width: 1, height: 1, steps: 1, cfgScale: 1, sampler: "",
      initImage: "", strength: 1, mask: "", refImage: "", images: [""], format: "", seconds: 1, fps: 1
    ).given
    #expect(Set(all) == Set(JobKind.allCases.flatMap(TaskBuilder.flags)))
  }

  @Test func commonFlagsStandBesideTheTask() throws {
    let common = JobFlags(model: "m", priority: 5, deadline: "1.5m", idempotencyKey: "k", labels: ["a=b", "c=d=e"])
    let request = try build("llm", TaskFlags(prompt: "x"), common: common)
    #expect(request["model"] == "m")
    #expect(request["priority"] == 5)
    #expect(request["deadlineSeconds"] == 90.0)
    #expect(request["idempotencyKey"] == "k")
    #expect(request["labels"] == ["a": "b", "c": "d=e"])
    for wrong in [
      JobFlags(priority: 101), JobFlags(deadline: "soon"), JobFlags(deadline: "-1"), JobFlags(labels: ["x"]),
    ] {
      #expect(throws: CLIError.self) { try build("llm", TaskFlags(prompt: "x"), common: wrong) }
    }
  }

  @Test func aConversationComesFromAFile() throws {
    let text = #"[{"role":"system","content":"s"},{"role":"user","content":"u"}]"#
    let request = try build("llm", TaskFlags(messages: "chat.json"), file: text)
    #expect(request["task"]?["messages"]?.array?.count == 2)
    let wrong = [
      "[]", "{}", "no", #"[{"role":"user"}]"#, #"[{"role":"robot","content":"u"}]"#, #"[{"role":"user","content":[]}]"#,
    ]
    for text in wrong {
      #expect(throws: CLIError.self) { try build("llm", TaskFlags(messages: "chat.json"), file: text) }
    }
  }

  @Test func aWholeJobComesFromAFile() throws {
    let job = #"{"kind":"stt","task":{"inputUrl":"x"},"priority":1}"#
    let builder = JobRequestBuilder(jobFile: "job.json", common: JobFlags(priority: 9), readText: { _ in job })
    let params = try builder.request().params
    #expect(params == ["kind": "audio_stt", "task": ["inputUrl": "x"], "priority": 9])
    let wrong: [(String?, String, TaskFlags, String)] = [
      (nil, #"{"task":{}}"#, TaskFlags(), "has no \"kind\""),
      ("llm", job, TaskFlags(), "is a job of kind stt, and llm was asked for"),
      (nil, job, TaskFlags(prompt: "x"), "leave out --prompt"),
      (nil, #"{"kind":"llm","task":{},"prioritty":1}"#, TaskFlags(), "did you mean 'priority'?"),
      (nil, #"{"kind":"llm","task":[]}"#, TaskFlags(), "has no \"task\" object"),
      (nil, "[]", TaskFlags(), "must hold a JSON object"), (nil, "{", TaskFlags(), "is not JSON"),
    ]
    for (kind, text, flags, message) in wrong {
      #expect {
        try JobRequestBuilder(kind: kind, jobFile: "job.json", flags: flags, readText: { _ in text }).request()
      } throws: { CLIError($0).message.contains(message) }
    }
  }

  @Test(
    arguments: [
      ("image", nil, "out/fox.png", "png"), ("video", nil, "a.b/clip.GIF", "gif"), ("image", "webp", "fox.png", "webp"),
      ("image", nil, "fox", nil), ("llm", nil, "answer.txt", nil), ("image", "png", "fox.tiff", "png"),
    ] as [(String, String?, String, String?)])
  func theOutputsEndingIsTheFormat(kind: String, format: String?, output: String, expected: String?) throws {
    var builder = JobRequestBuilder(kind: kind, flags: TaskFlags(prompt: "a fox", format: format))
    try builder.adoptFormat(ofOutput: output)
    #expect(try builder.request().params["task"]?["ext"]?.string == expected)
  }

  @Test(
    arguments: [
      ("talk.srt", .srt), ("talk.VTT", .vtt), ("talk.json", .json), ("talk.txt", .txt), ("talk.md", nil), ("talk", nil),
    ] as [(String, TranscriptFormat?)])
  func aTranscriptIsWrittenAsItsNameSays(output: String, expected: TranscriptFormat?) throws {
    var builder = JobRequestBuilder(kind: "stt", flags: TaskFlags(url: "https://x.test/a.wav"))
    try builder.adoptFormat(ofOutput: output)
    let request = try builder.request()
    #expect(request.transcript == expected)
    #expect(request.params["task"] == ["inputUrl": "https://x.test/a.wav"])
    #expect(request.isMadeAtTheEnd == (expected != nil && expected != .txt))
  }

  @Test func anOutputThatTheKindDoesNotMakeIsRefused() {
    for (kind, output) in [("image", "fox.tiff"), ("video", "clip.avi"), ("tts", "hello.txt")] {
      var builder = JobRequestBuilder(kind: kind, flags: TaskFlags(prompt: "a fox"))
      #expect { try builder.adoptFormat(ofOutput: output) } throws: { error in
        CLIError(error).status == .usage && CLIError(error).message.contains("give --format")
      }
    }
  }

  @Test func filesThatDoNotExistAreRefusedEarly() {
    let flags = [
      ("stt", TaskFlags(file: "/nonexistent/a.wav")),
      ("image", TaskFlags(prompt: "x", initImage: "/nonexistent/a.png")),
      ("video", TaskFlags(images: ["/nonexistent/a.png"])), ("video", TaskFlags(file: "/tmp")),
    ]
    for (kind, flags) in flags {
      #expect { try JobRequestBuilder(kind: kind, flags: flags).request() } throws: { error in
        let failure = CLIError(error)
        return failure.status == .usage
          && failure.message.contains(kind == "video" && flags.file != nil ? "/tmp" : "not")
      }
    }
  }
}
