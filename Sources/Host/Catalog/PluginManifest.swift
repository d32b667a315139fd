import PluginProtocol

/// What a plugin says about itself in `plugin.yaml`. `Docs/schema/plugin.schema.json` describes the same for machines.
package struct PluginManifest: Sendable, Equatable {
  /// Version of the manifest's own format; 1 is the only one.
  package static let formatVersion = 1

  /// `[a-z0-9-]{1,40}`, equal to the name of the plugin's directory.
  package var name: String
  /// The plugin's own version, for people.
  package var version: String
  /// One line on what the plugin does. Default: empty.
  package var summary = ""
  /// The licence's SPDX name. Default: nil, not stated.
  package var license: String?
  /// Program and arguments, never seen by a shell; at least one. See ``PluginExecutable`` for how the first is found.
  package var command: [String]
  /// Versions of the engine protocol that the engine speaks. Default: [1].
  package var protocolVersions = [1]
  /// What the engine can do; at least one. Order is the author's.
  package var serves: [PluginService]
  /// Abilities the engine announces; unknown ones are kept. Default: none.
  package var features: [String] = []
  /// Jobs at a time in one process. Default: 1.
  package var concurrency = 1
  /// Upper bound of processes at a time. Default: 1.
  package var processes = 1
  /// Models that one process can keep loaded at a time. Default: 1.
  package var residentModels = 1
  package var device = PluginDevicePreference()
  /// Threads for computing; nil (`auto`, the default) leaves it to the host.
  package var cpuThreads: Int?
  package var timeouts = PluginTimeouts()
  /// Environment variables the plugin asks for; each is set only when the operator grants it. Default: none.
  package var environmentAllow: [String] = []
  /// What the engine is confined to, whether the manifest says so or not: only the operator can take it away.
  package var sandbox = PluginSandbox()
  /// The plugin's own settings, in the manifest's order. Default: none.
  package var options: [PluginOption] = []
  package var limits = PluginLimits()
  /// SHA-256 that the executable's bytes must have, as 64 lower-case hex digits. Default: nil, any.
  package var sha256: String?
}

/// One kind of job that a plugin serves.
package struct PluginService: Sendable, Equatable {
  package var kind: JobKind
  /// The models served; at least one.
  package var models: [ModelPattern]
  /// The name under which coordinators that classify models by engine know this one. Default: nil.
  package var modelEngine: String?

  /// Whether a model of that id is served.
  package func serves(_ model: String) -> Bool { models.contains { $0.matches(model) } }
}

/// Kinds of computing device, in no order.
package enum DeviceKind: String, CaseIterable, Sendable {
  case cuda
  case rocm
  case vulkan
  case metal
  case cpu
}

/// Where an engine wants to compute, and how much memory a model takes there.
package struct PluginDevicePreference: Sendable, Equatable {
  /// How much device memory one loaded model needs.
  package enum ModelMemory: Sendable, Equatable {
    /// The host estimates it from the size of the model's files.
    case estimate
    case bytes(Int64)
  }
  /// Best first. Default: [cpu].
  package var prefer: [DeviceKind] = [.cpu]
  /// `device.memory.perModel`. Default: estimate.
  package var memoryPerModel = ModelMemory.estimate
}

/// How long the host waits for an engine.
package struct PluginTimeouts: Sendable, Equatable {
  /// From spawning to the answer to `initialize`. Default: 10s.
  package var initialize = Duration.seconds(10)
  /// Loading a model without any sign of progress. Default: 60s.
  package var loadStall = Duration.seconds(60)
  /// A running job without a chunk or changed progress. Default: 120s.
  package var jobStall = Duration.seconds(120)
  /// A job in all. Default: 2h.
  package var job = Duration.seconds(7200)
  /// From `job/cancel` to the kill. Default: 5s.
  package var cancelGrace = Duration.seconds(5)
  /// From `shutdown` to SIGTERM. Default: 5s.
  package var shutdown = Duration.seconds(5)
  /// A line of the engine's output from its first byte to its end. Default: 60s.
  package var partialLine = Duration.seconds(60)
  /// Messages waiting while the engine reads nothing of its input. Default: 10s.
  package var unreadInput = Duration.seconds(10)
  /// An idle engine is stopped after this. Default: 10m.
  package var idleExit = Duration.seconds(600)
}

/// What an engine asks to reach. It may always read the plugin's own directory and the system's programs and libraries,
/// and always write to its HOME, its cache and its TMPDIR.
package struct PluginSandbox: Sendable, Equatable {
  /// Reach over the network.
  package enum Network: String, CaseIterable, Sendable {
    case none
    case any
  }
  /// The host's directories that a sandbox is made of.
  package enum Place: String, CaseIterable, Sendable {
    case models
    case cache
    case work
  }
  /// Default: none.
  package var network = Network.none
  /// Default: [models].
  package var read: [Place] = [.models]
  /// Writing includes reading. Models are read-only all the same unless the operator grants more. Default: [work].
  package var write: [Place] = [.work]
  /// Whether the engine must not run where the kernel cannot hold it to its files and system calls. Default: false.
  package var isRequired = false
}

/// Limits of each process of the plugin; nil leaves the host's default.
package struct PluginLimits: Sendable, Equatable {
  /// Greatest number of open files.
  package var openFiles: Int?
  /// Greatest address space in bytes.
  package var addressSpace: Int64?
  /// Greatest number of processes that the engine and its descendants may be; the monitor counts twice a second.
  package var processes: Int?
}
