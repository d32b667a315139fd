import PluginProtocol

/// `plugins.NAME.sandbox`: what an operator grants to a plugin, or takes from it.
package struct SandboxConfiguration: Sendable, Equatable {
  package enum Mode: String, CaseIterable, Sendable {
    /// What the kernel has of it is applied.
    case enforce
    /// The plugin's engines do not start unless the kernel has what holds files and system calls.
    case required
    /// The engine may do what the worker's user may.
    case off
  }
  package enum Network: String, CaseIterable, Sendable {
    case none
    case allow
  }
  /// Default: nil, what `sandbox.mode` says for all plugins.
  package var mode: Mode?
  /// A plugin gets the network only when its manifest asks for it as well. Default: none.
  package var network = Network.none
  /// Absolute paths that the engine may read, with all that is below, beside what every engine may. Default: none.
  package var read: [String] = []
  /// Absolute paths that the engine may change. Default: none.
  package var write: [String] = []

  package init() {}
}

extension SandboxConfiguration {
  static func decode(_ fields: YAMLFields) -> SandboxConfiguration {
    var sandbox = SandboxConfiguration()
    sandbox.mode = fields.choice("mode", Mode.self)
    sandbox.network = fields.choice("network", Network.self) ?? sandbox.network
    sandbox.read = paths("read", fields)
    sandbox.write = paths("write", fields)
    return sandbox
  }

  private static func paths(_ key: String, _ fields: YAMLFields) -> [String] {
    fields.list(key, of: "absolute paths") { node -> String? in
      guard case .string(let text)? = node.scalar, text.hasPrefix("/"), text.utf8.count <= 4095, !text.utf8.contains(0)
      else {
        fields.collector.mismatch(fields.place(key), expected: "an absolute path", node)
        return nil
      }
      return text
    } ?? []
  }

  var json: JSONValue {
    .compact([
      "mode": JSONValue(mode?.rawValue), "network": .string(network.rawValue), "read": JSONValue(read),
      "write": JSONValue(write),
    ])
  }
}
