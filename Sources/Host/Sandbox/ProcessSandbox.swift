/// What an engine's process is confined to: the part of a `ProcessSpec` that `launch` applies with Landlock and seccomp.
package struct ProcessSandbox: Sendable, Equatable {
  /// Whether the engine may run where the kernel lacks either.
  package var isRequired = false
  package var allowsNetwork = false
  /// Absolute paths that may be read and executed, with all that is below. Paths that lead nowhere are passed over.
  package var read: [String] = []
  /// Absolute paths that may be changed.
  package var write: [String] = []
  /// Devices, and directories of devices.
  package var devices: [String] = []

  package init() {}

  /// Options of `launch`, as documented in its header.
  var launchArguments: [String] {
    ["--sandbox", isRequired ? "required" : "best"] + (allowsNetwork ? ["--network", "allow"] : [])
      + read.flatMap { ["--read", $0] } + write.flatMap { ["--write", $0] } + devices.flatMap { ["--device", $0] }
  }
}

/// What `launch` reports to be in force for one engine's process.
package struct SandboxInForce: Sendable, Equatable {
  package enum Part: String, CaseIterable, Sendable {
    /// Files: what is not granted cannot be opened or changed.
    case files
    /// Commands to devices that are not granted.
    case devices
    /// No sockets beyond a pair between own processes.
    case network
    /// Signals, and abstract sockets, to processes outside.
    case signals
    /// System calls that an engine does without.
    case calls
    /// Privileges of root.
    case capabilities

    /// What the kernel must have for it.
    var needs: String {
      switch self {
      case .files: "Landlock (Linux 5.13)"
      case .devices: "Landlock 5 (Linux 6.10)"
      case .network, .calls: "seccomp"
      case .signals: "Landlock 6 (Linux 6.12)"
      case .capabilities: "capabilities"
      }
    }
  }
  /// Version of the kernel's Landlock; 0 is none.
  package var landlock: Int
  package var parts: [Part]

  /// What is not in force although it should be.
  package func missing(allowsNetwork: Bool) -> [Part] {
    Part.allCases.filter { !parts.contains($0) && !($0 == .network && allowsNetwork) }
  }

  /// For a log line or a screen: `Landlock 7, seccomp: files, devices, network, signals, calls, capabilities`.
  package func text(allowsNetwork: Bool) -> String {
    let means = (landlock > 0 ? ["Landlock \(landlock)"] : []) + (parts.contains(.calls) ? ["seccomp"] : [])
    let missing = missing(allowsNetwork: allowsNetwork)
    return (means.isEmpty ? "" : means.joined(separator: ", ") + ": ")
      + parts.map(\.rawValue).joined(separator: ", ")
      + (missing.isEmpty
        ? "" : "; not in force: " + missing.map { "\($0.rawValue) (needs \($0.needs))" }.joined(separator: ", "))
  }
}
