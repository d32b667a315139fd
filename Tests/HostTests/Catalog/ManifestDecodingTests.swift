import PluginProtocol
import Testing

@testable import Host

private func decode(_ text: String, name: String = "llama") -> Result<PluginManifest.Decoded, SourceDiagnostics> {
  Result { () throws(SourceDiagnostics) in
    try PluginManifest.decode(Array(text.utf8), file: "plugin.yaml", directoryName: name)
  }
}

private func problems(_ text: String) -> [String] {
  if case .failure(let errors) = decode(text) { errors.all.map(\.description) } else { [] }
}

private let full = """
  manifest: 1
  name: llama
  version: 1.2.0
  summary: Text generation with llama.cpp
  license: MIT
  command: [./llama-engine, --fast]
  protocol: [1, 2]
  serves:
    - kind: llm
      models: ["*.gguf", "llama-cpp:*"]
      modelEngine: llama-cpp
    - {kind: audio_stt, models: [tiny]}
  features: [chunks, model-residency, progress]
  concurrency: 4
  processes: 2
  device: {prefer: [cuda, rocm, vulkan, cpu], memory: {perModel: 2GiB}}
  cpuThreads: 3
  timeouts: {initialize: 11s, loadStall: 61s, jobStall: 121s, job: 3h, cancelGrace: 500ms, shutdown: 6s, partialLine: 59s,
    unreadInput: 9s, idleExit: 1.5h}
  environment: {allow: [CUDA_VISIBLE_DEVICES]}
  sandbox: {network: any, read: [models, cache], write: [work, cache]}
  config:
    contextSize: {type: integer, default: 8192, minimum: 256, description: Tokens of context}
    mode: {type: enum, values: [fast, exact]}
  limits: {openFiles: 256, addressSpace: 64GiB, processes: 100}
  sha256: 0000000000000000000000000000000000000000000000000000000000000abc
  x-note: {free: [1, 2]}
  """

@Suite struct ManifestDecodingTests {
  @Test func readsEveryField() throws {
    let manifest = try decode(full).get().manifest
    #expect(manifest.name == "llama" && manifest.version == "1.2.0" && manifest.license == "MIT")
    #expect(manifest.command == ["./llama-engine", "--fast"])
    #expect(manifest.protocolVersions == [1, 2])
    #expect(
      manifest.serves == [
        PluginService(
          kind: .llm, models: [ModelPattern("*.gguf"), ModelPattern("llama-cpp:*")], modelEngine: "llama-cpp"),
        PluginService(kind: .audioSTT, models: [ModelPattern("tiny")]),
      ])
    #expect(manifest.features == ["chunks", "model-residency", "progress"])
    #expect(manifest.concurrency == 4 && manifest.processes == 2 && manifest.cpuThreads == 3)
    #expect(
      manifest.device == PluginDevicePreference(prefer: [.cuda, .rocm, .vulkan, .cpu], memoryPerModel: .bytes(2 << 30)))
    #expect(
      manifest.timeouts
        == PluginTimeouts(
          initialize: .seconds(11), loadStall: .seconds(61), jobStall: .seconds(121), job: .seconds(10_800),
          cancelGrace: .milliseconds(500), shutdown: .seconds(6), partialLine: .seconds(59),
          unreadInput: .seconds(9), idleExit: .seconds(5400)))
    #expect(manifest.environmentAllow == ["CUDA_VISIBLE_DEVICES"])
    #expect(manifest.sandbox == PluginSandbox(network: .any, read: [.models, .cache], write: [.work, .cache]))
    #expect(
      manifest.options == [
        PluginOption(
          name: "contextSize", kind: .integer, defaultValue: 8192, minimum: 256, summary: "Tokens of context"),
        PluginOption(name: "mode", kind: .choice, values: ["fast", "exact"]),
      ])
    #expect(manifest.limits == PluginLimits(openFiles: 256, addressSpace: 64 << 30, processes: 100))
  }

  @Test func theShortestManifestHasTheDocumentedDefaults() throws {
    let manifest = try decode(ScratchPlugins.manifest("llama")).get().manifest
    #expect(
      manifest
        == PluginManifest(
          name: "llama", version: "1.0.0", command: ["./engine"],
          serves: [PluginService(kind: .llm, models: [ModelPattern("*.gguf")])]))
    #expect(
      manifest.timeouts.idleExit == .seconds(600) && manifest.sandbox == PluginSandbox() && manifest.cpuThreads == nil)
  }

  @Test func whatIsPrintedCanBeReadBack() throws {
    for text in [full, ScratchPlugins.manifest("llama")] {
      let manifest = try decode(text).get().manifest
      var again = try decode(manifest.json.yamlText).get().manifest
      again.options.sort { $0.name < $1.name }
      #expect(again == manifest)
    }
  }

  @Test(arguments: [
    ("sumary: x", "plugin.yaml:6:1: unknown key 'sumary'; did you mean 'summary'?"),
    ("concurrency: two", "plugin.yaml:6:14: concurrency: expected a whole number, found the text 'two'"),
    ("concurrency: 0", "plugin.yaml:6:14: concurrency: 0 is out of range; use 1 to 256"),
    ("version: 2", "plugin.yaml:6:1: duplicate key 'version', first used on line 3; keep one of them"),
    ("timeouts: {jobStal: 1s}", "plugin.yaml:6:12: timeouts: unknown key 'jobStal'; did you mean 'jobStall'?"),
    (
      "timeouts: {job: 5}",
      "plugin.yaml:6:17: timeouts.job: expected a duration with its unit, such as 500ms, 10s, 5m or 2h, "
        + "found the number 5"
    ),
    (
      "protocol: [2, 3]",
      "plugin.yaml:6:11: protocol: no common version: the plugin speaks [2, 3], this host [1]; update the older one"
    ),
    (
      "device: {prefer: [cudda]}",
      "plugin.yaml:6:19: device.prefer: 'cudda' is not one of cuda, rocm, vulkan, metal, cpu; did you mean 'cuda'?"
    ),
    ("environment: {allow: [PATH]}", "plugin.yaml:6:23: environment.allow: the host itself sets PATH; remove it"),
    ("sha256: abc", "plugin.yaml:6:9: sha256: expected 64 lower-case hex digits; print them with sha256sum"),
    (
      "config: {a: {type: integer, default: x}}",
      "plugin.yaml:6:38: config.a.default: expected a whole number, found the text 'x'"
    ),
    (
      "config: {a: {type: integer, minimum: 5, default: 4}}",
      "plugin.yaml:6:50: config.a.default: 4 is below the minimum of 5"
    ),
    ("config: {a: {type: enum}}", "plugin.yaml:6:13: config.a.values: an enum needs its values; add 'values: [a, b]'"),
    (
      "config: {1a: {type: string}}",
      "plugin.yaml:6:10: config: '1a' is not a name; use a letter followed by at most 63 letters, digits, - or _"
    ),
    ("summary: \"a\\nb\"", "plugin.yaml:6:10: summary: must be one line without control characters"),
    ("features: *.gguf", "plugin.yaml:6:12: a word that begins with * must be put in quotes"),
    (
      "\tfeatures: []",
      "plugin.yaml:6:1: a tab is used for indentation; YAML allows only spaces, so replace it by spaces"
    ),
  ]) func explainsWhatIsWrong(_ line: String, _ message: String) {
    #expect(problems(ScratchPlugins.manifest("llama", line)) == [message])
  }

  @Test func reportsAllMissingKeysAtOnce() {
    let messages = problems("summary: x\n")
    #expect(messages.count == 5)
    #expect(messages.first == "plugin.yaml:1:1: the key 'manifest' is missing; add 'manifest: 1'")
  }

  @Test func aNewerFormatIsRefusedByNumber() {
    let text = ScratchPlugins.manifest("llama").replacing("manifest: 1", with: "manifest: 2")
    #expect(
      problems(text) == [
        "plugin.yaml:1:11: manifest: format 2 is not known to this host, which reads format 1; update the host"
      ])
  }

  @Test func theNameIsTheDirectorys() {
    #expect(
      problems(ScratchPlugins.manifest("lama")) == [
        "plugin.yaml:2:7: name: 'lama' differs from the directory's name 'llama'; rename one of them"
      ])
    #expect(
      problems(ScratchPlugins.manifest("Llama")) == [
        "plugin.yaml:2:7: name: 'Llama' is not a plugin name; use 1 to 40 of a-z, 0-9 and -"
      ])
  }

  @Test func unknownFeaturesAreKeptWithAWarning() throws {
    let decoded = try decode(ScratchPlugins.manifest("llama", "features: [chunk]")).get()
    #expect(decoded.manifest.features == ["chunk"])
    #expect(
      decoded.warnings.map(\.description) == [
        "plugin.yaml:6:12: warning: unknown feature 'chunk'; did you mean 'chunks'?"
      ])
  }

  /// Whatever the bytes, the answer is a manifest or a list of places; the same damage every time.
  @Test func damagedManifestsAreAnsweredInWords() throws {
    var state: UInt64 = 42
    let random = { (bound: Int) in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let pieces = [
      "\t", "{", "}", "[", "]", ":", "- ", "*", "&", "!", "\n", "\"", "'", "|", "%", "#", "\u{0}", "é", "x-",
    ]
    for _ in 0..<2000 {
      var bytes = Array(full.utf8)
      for _ in 0...random(3) {
        let at = random(bytes.count)
        let end = min(bytes.count, at + random(20))
        bytes.replaceSubrange(at..<end, with: Array(pieces[random(pieces.count)].utf8))
      }
      do throws(SourceDiagnostics) {
        _ = try PluginManifest.decode(bytes, file: "plugin.yaml", directoryName: "llama")
      } catch {
        #expect(error.all.contains { $0.severity == .error && !$0.message.isEmpty })
      }
    }
  }

  @Test(arguments: ["", "[]", "x", "- a\n- b", "manifest"]) func anythingButAMappingIsRefused(_ text: String) {
    #expect(problems(text).count == 1)
  }

  @Test func pluginSettingsAreCheckedWithPlaces() throws {
    let manifest = try decode(full).get().manifest
    let node = { (text: String) in try YAMLNode(parsing: Array(text.utf8), file: "config.yaml") }
    #expect(try PluginSettings.resolve(manifest: manifest, values: nil, file: "c") == ["contextSize": 8192])
    #expect(
      try PluginSettings.resolve(manifest: manifest, values: node("mode: exact\ncontextSize: 512"), file: "c")
        == ["contextSize": 512, "mode": "exact"])
    let error = #expect(throws: SourceDiagnostics.self) {
      try PluginSettings.resolve(
        manifest: manifest, values: node("contextSize: 12\nmode: fsat\ncontextsize: 1\n"), file: "config.yaml")
    }
    #expect(
      error?.all.map(\.description) == [
        "config.yaml:1:14: plugins.llama.config.contextSize: 12 is below the minimum of 256",
        "config.yaml:2:7: plugins.llama.config.mode: 'fsat' is not one of fast, exact; did you mean 'fast'?",
        "config.yaml:3:1: plugins.llama.config: unknown key 'contextsize'; did you mean 'contextSize'?",
      ])
  }

  @Test func environmentIsTheMeetOfAskedGrantedAndSet() throws {
    var manifest = try decode(full).get().manifest
    manifest.environmentAllow = ["A", "B", "C"]
    let granted = PluginSettings.environment(
      manifest: manifest, granted: ["A", "C", "D"], host: ["A": "1", "B": "2", "D": "4"])
    #expect(granted == ["A": "1"])
  }
}

@Suite struct ModelPatternTests {
  @Test(arguments: [
    ("*.gguf", "a.gguf", true), ("*.gguf", ".gguf", true), ("*.gguf", "a.GGUF", false), ("a?c", "abc", true),
    ("a?c", "ac", false), ("a?c", "aéc", true), ("*", "", true), ("", "", true), ("", "a", false),
    ("a*b*c", "aXbYc", true),
    ("a*b*c", "aXbY", false), ("tiny", "tiny.en", false), ("**", "x", true), ("[ab]", "a", false), ("*ab", "aab", true),
    ("llama-cpp:*", "llama-cpp:x/y", true),
  ]) func matches(_ pattern: String, _ id: String, _ expected: Bool) {
    #expect(ModelPattern(pattern).matches(id) == expected)
  }

  @Test func hostilePatternsStayCheap() {
    let pattern = String(repeating: "*a", count: 100) + "b"
    let clock = ContinuousClock()
    let time = clock.measure { #expect(!ModelPattern(pattern).matches(String(repeating: "a", count: 5000))) }
    #expect(time < .seconds(10))
  }

  @Test func kindsHaveTwoNames() throws {
    #expect(try JobKind(named: "stt") == .audioSTT)
    #expect(try JobKind(named: "audio_tts") == .audioTTS)
    #expect(throws: UnknownJobKind(name: "ttts")) { try JobKind(named: "ttts") }
    #expect(UnknownJobKind(name: "imagee").description == "unknown kind 'imagee'; did you mean 'image'?")
    #expect(UnknownJobKind(name: "zzzzz").description == "unknown kind 'zzzzz'; use one of llm, stt, tts, image, video")
  }
}
