import Foundation

@testable import Host

/// A directory of plugins that is removed with this object.
final class ScratchPlugins {
  let path: String

  init() throws {
    let base = FileManager.default.temporaryDirectory.appendingPathComponent("stoker-catalog-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
    path = try FilePath.resolve(base.path).get()
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  static func manifest(_ name: String, _ more: String = "", command: String = "[./engine]") -> String {
    """
    manifest: 1
    name: \(name)
    version: 1.0.0
    command: \(command)
    serves: [{kind: llm, models: ["*.gguf"]}]
    \(more)
    """
  }

  /// Writes a plugin whose program is a shell script, below the directory `root`, and returns its directory.
  @discardableResult
  func add(_ name: String, manifest: String? = nil, root: String = "", program: String? = "#!/bin/sh\n") throws
    -> String
  {
    let directory = FilePath.join(path, root.isEmpty ? name : "\(root)/\(name)")
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try write(manifest ?? ScratchPlugins.manifest(name), to: directory + "/plugin.yaml")
    if let program {
      try write(program, to: directory + "/engine")
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory + "/engine")
    }
    return directory
  }

  func write(_ text: String, to file: String) throws {
    try FileManager.default.createDirectory(atPath: FilePath.parent(file), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
  }

  func link(_ target: String, at path: String) throws {
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
  }

  func search(_ root: String = "", _ origin: PluginDirectory.Origin = .home) -> PluginDirectory {
    PluginDirectory(path: root.isEmpty ? path : FilePath.join(path, root), origin: origin)
  }

  func scan() -> CatalogSnapshot { PluginCatalog(searchPath: ["/usr/bin", "/bin"]).scan([search()]) }
}

extension CatalogSnapshot {
  /// The messages of a disabled plugin, without the scratch directory's own path.
  func problems(_ name: String, under path: String) -> [String]? {
    guard case .disabled(let diagnostics)? = entries.first(where: { $0.name == name })?.state else { return nil }
    return diagnostics.map { $0.description.replacingOccurrences(of: path + "/", with: "") }
  }
}
