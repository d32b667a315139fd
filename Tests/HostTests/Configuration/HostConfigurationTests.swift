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
  pluginDirectories: [/opt/plugins, ~/mine]
  plugins:
    llama:
      enabled: false
      preload: true
      environment: {grant: [CUDA_VISIBLE_DEVICES]}
      config: {contextSize: 4096}
    whisper:
  jobs:
    maxQueued: 5
    maxAttempts: 2
    retention: {maxAge: 7d, maxCount: 100}
    maxArtifactBytes: 1.5GB
    maxArtifactFiles: 10
  log: {level: debug, format: json, file: stoker.log}
  models: {directory: /models, file: my.yaml, keepFree: 2GiB}
  scheduling: {maxConcurrentJobs: 4}
  resources: {cpuThreads: 6, memory: 8GiB}
  restart: {firstDelay: 1s, maxDelay: 2m, resetAfter: 5m, quarantineFailures: 3, quarantineWindow: 1m}
  x-note: mine
  """

@Suite struct HostConfigurationTests {
  @Test(arguments: ["", "# nothing\n", "jobs:\n", "plugins:\n", "{}"]) func nothingSetGivesTheDefaults(_ text: String)
    throws
  {
    #expect(try decode(text).get() == HostConfiguration())
  }

  @Test func readsEveryKey() throws {
    let configuration = try decode(full).get()
    #expect(configuration.pluginDirectories == ["/opt/plugins", "~/mine"])
    let llama = configuration.plugin("llama")
    #expect(!llama.enabled && llama.preload && llama.environmentGrant == ["CUDA_VISIBLE_DEVICES"])
    #expect(llama.settings?.json == ["contextSize": 4096])
    #expect(configuration.plugin("whisper") == PluginConfiguration() && configuration.plugin("x").enabled)
    #expect(
      configuration.jobs
        == JobsConfiguration(
          maxQueued: 5, maxAttempts: 2, retentionMaxAge: .seconds(604_800), retentionMaxCount: 100,
          maxArtifactBytes: 1_500_000_000, maxArtifactFiles: 10))
    #expect(configuration.log == LogConfiguration(level: .debug, format: .json, file: "stoker.log"))
    #expect(configuration.models == ModelsConfiguration(directory: "/models", file: "my.yaml", keepFree: 2 << 30))
    #expect(configuration.scheduling.maxConcurrentJobs == 4)
    #expect(configuration.resources == ResourcesConfiguration(cpuThreads: 6, memory: 8 << 30))
    #expect(
      configuration.restart
        == RestartConfiguration(
          firstDelay: .seconds(1), maxDelay: .seconds(120), resetAfter: .seconds(300), quarantineFailures: 3,
          quarantineWindow: .seconds(60)))
  }

  @Test func whatIsShownCanBeReadBack() throws {
    for text in ["", full] {
      let configuration = try decode(text).get()
      #expect(try decode(configuration.json.yamlText).get().json == configuration.json)
      #expect(try JSONValue(parsing: configuration.json.prettyText) == configuration.json)
    }
  }

  @Test(arguments: [
    ("job: {}", "config.yaml:1:1: unknown key 'job'; did you mean 'jobs'?"),
    ("jobs: {maxQueud: 1}", "config.yaml:1:8: jobs: unknown key 'maxQueud'; did you mean 'maxQueued'?"),
    ("jobs: 5", "config.yaml:1:7: jobs: expected a mapping, found the number 5"),
    (
      "log: {level: warn}",
      "config.yaml:1:14: log.level: 'warn' is not one of trace, debug, info, notice, warning, error, critical"
    ),
    (
      "log: {level: infos}",
      "config.yaml:1:14: log.level: 'infos' is not one of trace, debug, info, notice, warning, error, critical; "
        + "did you mean 'info'?"
    ),
    (
      "resources: {cpuThreads: all}",
      "config.yaml:1:25: resources.cpuThreads: expected a whole number or auto, found the text 'all'"
    ),
    ("resources: {memory: 1KiB}", "config.yaml:1:21: resources.memory: 1KiB is out of range; use 1MiB to 1048576TiB"),
    ("plugins: {Llama: {}}", "config.yaml:1:11: plugins: 'Llama' is not a plugin name; use 1 to 40 of a-z, 0-9 and -"),
    ("plugins: {llama: {config: 5}}", "config.yaml:1:27: plugins.llama.config: expected a mapping, found the number 5"),
    (
      "plugins: {llama: {enabled: 'yes'}}",
      "config.yaml:1:28: plugins.llama.enabled: expected true or false, found the text 'yes'"
    ),
    ("restart: {firstDelay: 5m}", "config.yaml:1:23: restart.firstDelay: is longer than 'maxDelay' (1m); shorten it"),
    (
      "jobs:\n\tmaxQueued: 1",
      "config.yaml:2:1: a tab is used for indentation; YAML allows only spaces, so replace it by spaces"
    ),
  ]) func explainsWhatIsWrong(_ text: String, _ message: String) { #expect(problems(text) == [message]) }

  @Test func anUnreadableFileIsNotADefault() throws {
    let scratch = try ScratchPlugins()
    let none = try HostConfiguration.load(scratch.path + "/none.yaml")
    #expect(none.configuration == HostConfiguration() && !none.isFromFile)
    #expect(
      HostConfiguration.check(scratch.path).map(\.message) == [
        "it is a directory, not a file; put a regular file in its place"
      ])
    try scratch.write("jobs: {maxQueued: 7}\n", to: scratch.path + "/config.yaml")
    let some = try HostConfiguration.load(scratch.path + "/config.yaml")
    #expect(some.configuration.jobs.maxQueued == 7 && some.isFromFile)
    #expect(HostConfiguration.check(scratch.path + "/config.yaml").isEmpty)
  }

  private static let schemaCases: [(text: String, isGood: Bool)] = [
    (full, true), ("", true), ("{}", true), ("jobs:\n", true), ("plugins: {a: }", true), ("job: {}", false),
    ("jobs: 5", false), ("jobs: {maxQueued: 0}", false), ("jobs: {retention: {maxAge: 5}}", false),
    ("jobs: {maxArtifactBytes: 5 GB}", false), ("log: {level: loud}", false), ("log: {format: json}", true),
    ("resources: {cpuThreads: auto, memory: auto}", true), ("resources: {cpuThreads: 0}", false),
    ("scheduling: {maxConcurrentJobs: some}", false), ("plugins: {A: {}}", false),
    ("plugins: {a: {config: {z: 1}}}", true),
    ("plugins: {a: {config: []}}", false), ("plugins: {a: {grant: [A]}}", false), ("pluginDirectories: /x", false),
    ("plugins: {a: {environment: {grant: [HOME]}}}", false), ("restart: {maxDelay: 1m}", true), ("x-a: 1", true),
    ("models: {directory: ''}", false), ("models: {directory: /m}", true), ("plugins: {a: {enabled: 1}}", false),
  ]

  @Test func theDecoderGivesTheExpectedVerdict() {
    for (text, isGood) in HostConfigurationTests.schemaCases { #expect(problems(text).isEmpty == isGood, "\(text)") }
  }

  @Test(.enabled(if: PythonValidator.isPresent, "needs Python with the package jsonschema"))
  func theSchemaGivesTheExpectedVerdict() throws {
    let cases = HostConfigurationTests.schemaCases
    let documents = try cases.map { try YAMLNode(parsing: Array($0.text.utf8), file: "c").json }
    let verdicts = try PythonValidator.verdicts(schema: "config.schema.json", documents: documents)
    #expect(verdicts.count == cases.count)
    for ((text, isGood), verdict) in zip(cases, verdicts) { #expect(verdict == isGood, "\(text)") }
  }
}
