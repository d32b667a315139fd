import PluginProtocol

/// The host's verdict on one plugin's directory, by the code that the host itself uses, with advice on top.
package enum PluginLint {
  /// What was found.
  package struct Report: Sendable, Equatable {
    /// Errors, which disable the plugin, and warnings.
    package let diagnostics: [SourceDiagnostic]
    /// Nil when the plugin is not usable.
    package let plugin: Plugin?

    package var isUsable: Bool { plugin != nil }

    /// For `--json`.
    package var json: JSONValue {
      [
        "usable": .bool(isUsable), "name": JSONValue(plugin?.name), "diagnostics": .array(diagnostics.map(\.json)),
      ]
    }
  }

  /// - Parameters:
  ///   - directory: the plugin's directory.
  ///   - searchPath: see ``PluginCatalog/init(searchPath:)``.
  package static func lint(_ directory: String, searchPath: [String]) -> Report {
    let path: String
    switch FilePath.resolve(directory) {
    case .success(let resolved): path = resolved
    case .failure(let error):
      return Report(diagnostics: [SourceDiagnostic(.error, file: directory, message: "\(error)")], plugin: nil)
    }
    guard FilePath.kind(path) == .directory else {
      let message = "not a directory; name the directory that holds plugin.yaml"
      return Report(diagnostics: [SourceDiagnostic(.error, file: directory, message: message)], plugin: nil)
    }
    let source = PluginDirectory(path: FilePath.parent(path), origin: .commandLine)
    let entry = PluginCatalog(searchPath: searchPath).read(path, source: source)
    switch entry.state {
    case .disabled(let diagnostics): return Report(diagnostics: diagnostics + entry.warnings, plugin: nil)
    case .usable(let plugin):
      return Report(diagnostics: entry.warnings + advice(plugin, searchPath), plugin: plugin)
    }
  }

  private static func advice(_ plugin: Plugin, _ searchPath: [String]) -> [SourceDiagnostic] {
    var advice: [SourceDiagnostic] = []
    let warn = { (file: String, message: String) in
      advice.append(SourceDiagnostic(.warning, file: file, message: message))
    }
    if let problem = ExecutableInspection.problem(plugin.executable.path, searchPath: searchPath) {
      warn(plugin.executable.path, "the engine cannot be started: the program \(problem)")
    }
    let manifest = plugin.manifest
    if manifest.summary.isEmpty { warn(plugin.manifestPath, "no 'summary'; say in one line what the plugin does") }
    if manifest.license == nil { warn(plugin.manifestPath, "no 'license'; state it by its SPDX name, such as MIT") }
    for option in manifest.options where option.summary.isEmpty {
      warn(plugin.manifestPath, "config.\(option.name) has no 'description'")
    }
    if manifest.serves.contains(where: { $0.models.contains(ModelPattern("*")) }) {
      warn(
        plugin.manifestPath, "serves every model there is ('*'); narrow the pattern so that other plugins keep theirs")
    }
    if FilePath.kind(FilePath.join(plugin.directory, "README.md")) != .file {
      warn(plugin.directory, "no README.md; say what the engine needs and how its models are got")
    }
    return advice
  }
}

extension SourceDiagnostic {
  /// For `--json`; `line` and `column` are left out when the remark is about the file as a whole.
  package var json: JSONValue {
    .compact([
      "severity": .string(severity.rawValue), "file": .string(file), "message": .string(message),
      "line": line > 0 ? JSONValue(line) : .null, "column": line > 0 ? JSONValue(column) : .null,
    ])
  }
}
