import PluginProtocol

/// What an operator sets in `config.yaml`. Everything has a default; a file that is absent or empty gives them all.
/// `Docs/schema/config.schema.json` describes the same for machines.
package struct HostConfiguration: Sendable, Equatable {
  /// `pluginDirectories`: more directories to search, after `<home>/plugins` and before the installed ones. Absolute,
  /// or relative to the configuration file's directory; `~/` is the user's home. Default: none.
  package var pluginDirectories: [String] = []
  /// `plugins.NAME`: by plugin. A plugin that is not named has the defaults.
  package var plugins: [String: PluginConfiguration] = [:]
  package var jobs = JobsConfiguration()
  package var log = LogConfiguration()
  package var models = ModelsConfiguration()
  package var scheduling = SchedulingConfiguration()
  package var resources = ResourcesConfiguration()
  package var restart = RestartConfiguration()
  /// `devices`: what the machine has for computing, in place of what the host would find; their free memory is then
  /// never measured. Default: nil (`auto`), the host looks for itself.
  package var devices: [MachineDevice]?
  package var memory = MemoryConfiguration()
  package var fairness = FairnessConfiguration()
  /// `residency`: by model id, or glob of ids.
  package var residency: [ModelPattern: ResidencyConfiguration] = [:]
  package var inputs = InputsConfiguration()
  /// `sandbox.mode`: for every plugin that has no mode of its own. Default: enforce.
  package var sandboxMode = SandboxConfiguration.Mode.enforce
  package var install = InstallConfiguration()

  package init() {}

  /// What is set for a plugin.
  package func plugin(_ name: String) -> PluginConfiguration { plugins[name] ?? PluginConfiguration() }
}

/// `plugins.NAME`.
package struct PluginConfiguration: Sendable, Equatable {
  /// Whether the plugin may be used. Default: true.
  package var enabled = true
  /// Whether its engine is started with the host rather than when first needed. Default: false.
  package var preload = false
  /// `environment.grant`: environment variables of the host that the engine gets if its manifest asks for them.
  /// Default: none.
  package var environmentGrant: [String] = []
  /// Which devices its processes get. Default: auto.
  package var devices = PluginDevices.auto
  /// What its engines may reach beyond their manifest.
  package var sandbox = SandboxConfiguration()
  /// `config`: the plugin's own settings, to be checked by ``PluginSettings/resolve(manifest:values:file:)`` once the
  /// manifest is known. Default: nil.
  package var settings: YAMLNode?

  package init() {}
}

/// `jobs`.
package struct JobsConfiguration: Sendable, Equatable {
  /// Jobs waiting at most; a submission beyond is refused. Default: 10000.
  package var maxQueued = 10_000
  /// Attempts a job gets before it fails. Default: 3.
  package var maxAttempts = 3
  /// `retention.maxAge`: finished jobs older than this are removed with their artifacts. Default: 30d.
  package var retentionMaxAge = Duration.seconds(30 * 86_400)
  /// `retention.maxCount`: finished jobs kept at most, the newest first. Default: 10000.
  package var retentionMaxCount = 10_000
  /// Bytes of all artifacts of one job at most. Default: 4GiB.
  package var maxArtifactBytes: Int64 = 4 << 30
  /// Files of one job at most. Default: 1000.
  package var maxArtifactFiles = 1000
  /// Bytes of disk that a plugin's engines may take at a time: work directories, HOME, cache and TMPDIR together, and
  /// any one file. Default: 16GiB.
  package var maxWorkBytes: Int64 = 16 << 30
}

/// `log`.
package struct LogConfiguration: Sendable, Equatable {
  /// Least serious level that is written.
  package enum Level: String, CaseIterable, Sendable {
    case trace
    case debug
    case info
    case notice
    case warning
    case error
    case critical
  }
  /// Shape of a record.
  package enum Format: String, CaseIterable, Sendable {
    case text
    case json
  }
  /// Default: info.
  package var level = Level.info
  /// Default: text.
  package var format = Format.text
  /// A file to append to instead of standard error; paths as in ``HostConfiguration/pluginDirectories``. Default: nil.
  package var file: String?
}

/// `models`.
package struct ModelsConfiguration: Sendable, Equatable {
  /// Where model files are kept; paths as in ``HostConfiguration/pluginDirectories``. Default: nil, the home's own.
  package var directory: String?
  /// The operator's model entries; paths as above. Default: nil, `models.yaml` beside the configuration file.
  package var file: String?
  /// Bytes of disk that downloads leave free. Default: 1GiB.
  package var keepFree: Int64 = 1 << 30
}

/// `scheduling`.
package struct SchedulingConfiguration: Sendable, Equatable {
  /// Jobs running at a time over all engines; nil (`auto`, the default) sets no bound beyond the engines' own.
  package var maxConcurrentJobs: Int?
}

/// `resources`: what of the machine all engines together may use.
package struct ResourcesConfiguration: Sendable, Equatable {
  /// Threads for computing; nil (`auto`, the default) takes what the machine, or its container, allows.
  package var cpuThreads: Int?
  /// Bytes of memory; nil (`auto`, the default) takes what the machine, or its container, has.
  package var memory: Int64?
}

/// `restart`: what happens after an engine has died.
package struct RestartConfiguration: Sendable, Equatable {
  /// Wait before the first restart; doubles with each further one. Default: 500ms.
  package var firstDelay = Duration.milliseconds(500)
  /// Longest wait. Default: 60s.
  package var maxDelay = Duration.seconds(60)
  /// The wait starts anew once an engine has lived this long and done a job. Default: 60s.
  package var resetAfter = Duration.seconds(60)
  /// Failures within ``quarantineWindow`` that quarantine the plugin. Default: 5.
  package var quarantineFailures = 5
  /// Default: 3m.
  package var quarantineWindow = Duration.seconds(180)
}
