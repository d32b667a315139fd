import PluginProtocol
import Testing

@testable import Host

private func decode(_ text: String) -> Result<HostConfiguration, SourceDiagnostics> {
  Result { () throws(SourceDiagnostics) in
    try HostConfiguration.decode(Array(text.utf8), file: "config.yaml").configuration
  }
}

private func problems(_ text: String) -> [String] {
  if case .failure(let errors) = decode(text) { errors.all.map(\.description) } else { [] }
}

private let full = """
  devices:
    - {kind: cuda, index: 1, memory: 24GiB, name: "left, upper"}
    - {kind: cuda, index: 0, memory: 12884901888}
    - {kind: vulkan, index: 0, memory: 8GB}
  memory: {limit: 75%, reserve: 2GiB, vramThreshold: 12GiB, waitForRoom: 1m}
  fairness: {maxWait: 5s}
  residency:
    smollm2-135m-instruct: {pin: true, preload: true, keepAlive: forever, maxResident: 2}
    "whisper:*": {keepAlive: 90s}
    "llama-cpp:*": {keepAlive: engine}
    empty:
  inputs: {maxBytes: 100MB, allowPrivateAddresses: true}
  plugins:
    a: {devices: all}
    b: {devices: none}
    c: {devices: [cuda:1, "cuda:0"]}
    d: {devices: auto}
  """

@Suite struct MemoryConfigurationTests {
  @Test func nothingSetGivesTheDefaults() throws {
    let configuration = try decode("devices: auto\nmemory:\nfairness:\nresidency:\ninputs:\n").get()
    #expect(configuration == HostConfiguration())
    #expect(configuration.devices == nil && configuration.plugin("x").devices == .auto)
    #expect(configuration.memory.limit == .percent(90) && configuration.memory.reserve == 512 << 20)
    #expect(configuration.memory.vramThreshold == nil && configuration.memory.waitForRoom == .seconds(30))
    #expect(configuration.fairness.maxWait == .seconds(30))
    #expect(configuration.inputs == InputsConfiguration(maxBytes: 2 << 30, allowPrivateAddresses: false))
    #expect(configuration.residency(of: "any") == ResidencyConfiguration())
  }

  @Test func readsEveryKey() throws {
    let configuration = try decode(full).get()
    #expect(
      configuration.devices == [
        MachineDevice(id: DeviceID(.cuda, 1), name: "left, upper", memoryBytes: 24 << 30),
        MachineDevice(id: DeviceID(.cuda, 0), name: "cuda:0", memoryBytes: 12 << 30),
        MachineDevice(id: DeviceID(.vulkan, 0), name: "vulkan:0", memoryBytes: 8_000_000_000),
      ])
    #expect(
      configuration.memory
        == MemoryConfiguration(
          limit: .percent(75), reserve: 2 << 30, vramThreshold: 12 << 30, waitForRoom: .seconds(60)))
    #expect(configuration.fairness == FairnessConfiguration(maxWait: .seconds(5)))
    #expect(
      configuration.residency(of: "smollm2-135m-instruct")
        == ResidencyConfiguration(pin: true, preload: true, keepAlive: .forever, maxResident: 2))
    #expect(configuration.residency(of: "whisper:tiny").keepAlive == .after(.seconds(90)))
    #expect(configuration.residency(of: "llama-cpp:x").keepAlive == nil)
    #expect(configuration.inputs == InputsConfiguration(maxBytes: 100_000_000, allowPrivateAddresses: true))
    let devices = ["a", "b", "c", "d"].map { configuration.plugin($0).devices }
    #expect(devices == [.all, .none, .only([DeviceID(.cuda, 1), DeviceID(.cuda, 0)]), .auto])
    #expect(try decode("devices: []").get().devices == [])
  }

  @Test(arguments: ["", "devices: []\n", full]) func whatIsShownCanBeReadBack(_ text: String) throws {
    let configuration = try decode(text).get()
    let again = try decode(configuration.json.yamlText).get()
    #expect(again.json == configuration.json && again.devices == configuration.devices)
    #expect(again.memory == configuration.memory && again.residency == configuration.residency)
    #expect(again.inputs == configuration.inputs && again.fairness == configuration.fairness)
    #expect(again.plugins.mapValues(\.devices) == configuration.plugins.mapValues(\.devices))
  }

  @Test(arguments: [
    ("devices: gpu", "config.yaml:1:10: devices: expected auto or a list of devices, found the text 'gpu'"),
    ("devices: [5]", "config.yaml:1:11: devices[0]: expected a mapping, found the number 5"),
    (
      "devices: [{kind: cuda, index: 0}]",
      "config.yaml:1:11: devices[0]: the key 'memory' is missing; add 'memory: 24GiB'"
    ),
    (
      "devices: [{kind: cud, index: 0, memory: 1GiB}]",
      "config.yaml:1:18: devices[0].kind: 'cud' is not one of cuda, rocm, vulkan, metal, cpu; did you mean 'cuda'?"
    ),
    (
      "devices: [{kind: cpu, index: 0, memory: 1GiB}]",
      "config.yaml:1:18: devices[0].kind: the processor is no device that can be listed; remove it"
    ),
    (
      "devices: [{kind: cuda, index: -1, memory: 1GiB}]",
      "config.yaml:1:31: devices[0].index: -1 is out of range; use 0 to 255"
    ),
    (
      "devices:\n  - {kind: rocm, index: 0, memory: 1GiB}\n  - {kind: rocm, index: 0, memory: 2GiB}",
      "config.yaml:3:5: devices[1]: rocm:0 is listed twice; remove one"
    ),
    ("memory: {limit: 0%}", "config.yaml:1:17: memory.limit: '0%' is out of range; use 1% to 100%"),
    ("memory: {limit: +5%}", "config.yaml:1:17: memory.limit: '+5%' is out of range; use 1% to 100%"),
    ("memory: {limit: 1KiB}", "config.yaml:1:17: memory.limit: 1KiB is out of range; use 1MiB to 1048576TiB"),
    (
      "memory: {limit: most}",
      "config.yaml:1:17: memory.limit: expected a size such as 8GiB, or a part such as 90%, found the text 'most'"
    ),
    (
      "memory: {limit: [1]}",
      "config.yaml:1:17: memory.limit: expected a size such as 8GiB or a part such as 90%, found a list"
    ),
    (
      "memory: {vramThreshold: 12}",
      "config.yaml:1:25: memory.vramThreshold: 12 is out of range; use 1MiB to 1048576TiB"
    ),
    (
      "memory: {vramThreshold: much}",
      "config.yaml:1:25: memory.vramThreshold: expected a size such as 8GiB, or none, found the text 'much'"
    ),
    (
      "memory: {waitForRoom: 30}",
      "config.yaml:1:23: memory.waitForRoom: expected a duration with its unit, such as 500ms, 10s, 5m or 2h, "
        + "found the number 30"
    ),
    ("memory: {reserv: 1GiB}", "config.yaml:1:10: memory: unknown key 'reserv'; did you mean 'reserve'?"),
    ("fairness: {maxWait: 2d}", "config.yaml:1:21: fairness.maxWait: 2d is out of range; use 0s to 1d"),
    (
      "residency: {\"*.gguf\": {preload: true}}",
      "config.yaml:1:33: residency.*.gguf.preload: a glob does not say which model to load; name the model by its id"
    ),
    (
      "residency: {a b: {}}",
      "config.yaml:1:13: residency: 'a b' is not a model's id or glob; use 1 to 200 bytes without blanks"
    ),
    (
      "residency: {a: {keepAlive: always}}",
      "config.yaml:1:28: residency.a.keepAlive: expected engine, forever or a duration with its unit, such as 10m, "
        + "found the text 'always'"
    ),
    ("residency: {a: {maxResident: 0}}", "config.yaml:1:30: residency.a.maxResident: 0 is out of range; use 1 to 256"),
    ("residency: {a: {pinn: true}}", "config.yaml:1:17: residency.a: unknown key 'pinn'; did you mean 'pin'?"),
    ("inputs: {maxBytes: 0}", "config.yaml:1:20: inputs.maxBytes: 0 is out of range; use 1 to 1048576TiB"),
    (
      "plugins: {a: {devices: gpu}}",
      "config.yaml:1:24: plugins.a.devices: expected auto, all, none or a list of devices such as [\"cuda:0\"], "
        + "found the text 'gpu'"
    ),
    (
      "plugins: {a: {devices: [cuda]}}",
      "config.yaml:1:25: plugins.a.devices: expected a device: its kind and its number, such as \"cuda:0\", "
        + "found the text 'cuda'"
    ),
    (
      "plugins: {a: {devices: []}}",
      "config.yaml:1:24: plugins.a.devices: the list is empty; write none for the processor alone"
    ),
    (
      "plugins: {a: {devices: [cuda:0, rocm:0]}}",
      "config.yaml:1:24: plugins.a.devices: are of several kinds; an engine computes on one kind at a time"
    ),
  ]) func explainsWhatIsWrong(_ text: String, _ message: String) { #expect(problems(text) == [message]) }

  @Test func theNarrowestPatternDecides() throws {
    let residency = try decode(
      """
      residency:
        "*": {maxResident: 2}
        "*.gguf": {maxResident: 3}
        "big-*.gguf": {maxResident: 4}
        "big-model.gguf": {maxResident: 5}
        "?ig-a.gguf": {maxResident: 6}
      """
    ).get()
    let found = ["x", "x.gguf", "big-x.gguf", "big-model.gguf", "big-a.gguf"].map {
      residency.residency(of: $0).maxResident
    }
    #expect(found == [2, 3, 4, 5, 6])
  }

  @Test func theLimitIsAPartOfWhatThereIs() throws {
    #expect(MemoryLimit.percent(90).bytes(of: 1000) == 900 && MemoryLimit.percent(100).bytes(of: 1050) == 1050)
    #expect(MemoryLimit.percent(90).bytes(of: .max) < .max && MemoryLimit.bytes(5000).bytes(of: 1000) == 1000)
    let machine: UInt64 = 10_000 << 20
    #expect(HostConfiguration().memoryLimit(machine: machine) == 9000 << 20)
    #expect(try decode("resources: {memory: 1000MiB}").get().memoryLimit(machine: machine) == 900 << 20)
    let both = try decode("resources: {memory: 1000MiB}\nmemory: {limit: 200MiB}").get()
    #expect(both.memoryLimit(machine: machine) == 200 << 20)
  }

  @Test(arguments: [
    ("memory.limit", "80%", "memory:\n  limit: \"80%\"\n"),
    ("memory.vramThreshold", "12GiB", "memory:\n  vramThreshold: 12GiB\n"),
    ("fairness.maxWait", "10s", "fairness:\n  maxWait: 10s\n"),
    ("plugins.llama.devices", "[cuda:0]", "plugins:\n  llama:\n    devices: [\"cuda:0\"]\n"),
    ("plugins.llama.devices", "none", "plugins:\n  llama:\n    devices: none\n"),
    (
      "devices", "[{kind: cuda, index: 0, memory: 24GiB}]",
      "devices: [{index: 0, kind: cuda, memory: 24GiB}]\n"
    ),
    ("residency.tiny.pin", "true", "residency:\n  tiny:\n    pin: true\n"),
    ("residency.\"whisper:*\".keepAlive", "forever", "residency:\n  \"whisper:*\":\n    keepAlive: forever\n"),
    ("residency.\"a.gguf\".maxResident", "2", "residency:\n  a.gguf:\n    maxResident: 2\n"),
  ]) func theEditorSetsThem(_ key: String, _ value: String, _ text: String) throws {
    #expect(try ConfigurationEditor.set(key, to: value, in: "", file: "config.yaml") == text)
  }

  @Test func theEditorFindsQuotedKeysAgain() throws {
    let before = "residency:\n  # speech\n  'whisper:*': {keepAlive: 1m} # short\n"
    let key = "residency.\"whisper:*\".keepAlive"
    let after = try ConfigurationEditor.set(key, to: "2m", in: before, file: "config.yaml")
    #expect(after == "residency:\n  # speech\n  'whisper:*': {keepAlive: 2m} # short\n")
    for wrong in ["residency.\"\".pin", "residency.\"a.pin", "residency.\"a\"pin", "residency.a*.pin", "\"", "a."] {
      #expect(throws: ConfigurationEditor.EditError.self, "\(wrong)") {
        try ConfigurationEditor.set(wrong, to: "true", in: "", file: "config.yaml")
      }
    }
  }

  private static let schemaCases: [(text: String, isGood: Bool)] = [
    (full, true), ("devices: auto", true), ("devices: []", true), ("devices: some", false), ("devices:\n", true),
    ("devices: [{kind: cpu, index: 0, memory: 1GiB}]", false), ("devices: [{kind: cuda, index: 0}]", false),
    ("devices: [{kind: cuda, index: 0, memory: 1GiB, uuid: x}]", false), ("memory: {limit: 100%}", true),
    ("memory: {limit: 101%}", false), ("memory: {limit: 0%}", false), ("memory: {limit: 8GiB}", true),
    ("memory: {limit: most}", false), ("memory: {vramThreshold: none}", true), ("memory: {vramThreshold: all}", false),
    ("memory: {waitForRoom: 5}", false), ("memory:\n", true), ("fairness: {maxWait: 1m}", true),
    ("fairness: {minWait: 1m}", false), ("residency: {a: {keepAlive: forever}}", true),
    ("residency: {a: {keepAlive: engine}}", true), ("residency: {a: {keepAlive: always}}", false),
    ("residency: {a: {maxResident: 0}}", false), ("residency: {a: {maxResident: auto}}", true),
    ("residency: {a: {preload: true}}", true),
    ("residency: {'a*': {preload: true}}", false), ("residency: {'a*': {preload: false, pin: true}}", true),
    ("residency: {a b: {}}", false), ("residency: {a: 1}", false), ("residency: {a: }", true),
    ("inputs: {maxBytes: 1GiB}", true), ("inputs: {maxBytes: 0}", false), ("inputs: {allowPrivateAddresses: 1}", false),
    ("plugins: {a: {devices: all}}", true), ("plugins: {a: {devices: many}}", false),
    ("plugins: {a: {devices: []}}", false), ("plugins: {a: {devices: ['cuda:0']}}", true),
    ("plugins: {a: {devices: ['cpu:0']}}", false), ("plugins: {a: {devices: ['cuda:00']}}", false),
    ("plugins: {a: {devices: ['cuda:256']}}", false),
  ]

  @Test func theDecoderGivesTheExpectedVerdict() {
    for (text, isGood) in MemoryConfigurationTests.schemaCases { #expect(problems(text).isEmpty == isGood, "\(text)") }
  }

  @Test(.enabled(if: PythonValidator.isPresent, "needs Python with the package jsonschema"))
  func theSchemaGivesTheExpectedVerdict() throws {
    let cases = MemoryConfigurationTests.schemaCases
    let documents = try cases.map { try YAMLNode(parsing: Array($0.text.utf8), file: "c").json }
    let verdicts = try PythonValidator.verdicts(schema: "config.schema.json", documents: documents)
    #expect(verdicts.count == cases.count)
    for ((text, isGood), verdict) in zip(cases, verdicts) { #expect(verdict == isGood, "\(text)") }
  }
}
