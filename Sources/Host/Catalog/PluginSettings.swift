import PluginProtocol

/// What an operator set for a plugin, checked against what the plugin declares.
package enum PluginSettings {
  /// The `config` object of `initialize`: the operator's values over the manifest's defaults.
  ///
  /// - Parameters:
  ///   - values: `plugins.NAME.config` of the configuration file; nil when it has none.
  ///   - file: the configuration file, as errors name it.
  /// - Throws: every unknown key, wrong type and value out of bounds, with its place in the configuration file.
  package static func resolve(
    manifest: PluginManifest, values: YAMLNode?, file: String
  ) throws(SourceDiagnostics) -> JSONValue {
    var settings: [String: JSONValue] = [:]
    for option in manifest.options { settings[option.name] = option.defaultValue }
    guard let values else { return .object(settings) }
    let collector = DiagnosticCollector(file: file)
    _ = collector.fields(values, path: "plugins.\(manifest.name).config") { fields in
      for option in manifest.options {
        guard let node = fields.node(option.name) else { continue }
        if let value = option.check(node, path: fields.place(option.name), collector) { settings[option.name] = value }
      }
    }
    _ = try collector.finish()
    return .object(settings)
  }

  /// The environment variables that the engine gets from the host's own: asked for by the manifest, granted by the
  /// operator, and set.
  package static func environment(
    manifest: PluginManifest, granted: [String], host: [String: String]
  ) -> [String: String] {
    var environment: [String: String] = [:]
    for name in manifest.environmentAllow where granted.contains(name) { environment[name] = host[name] }
    return environment
  }
}
