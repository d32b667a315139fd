import PluginProtocol

/// Decides what one engine's process may reach: from its manifest, from what the operator grants, and from where things
/// lie. Looks at the file system, changes nothing.
package struct SandboxRules: Sendable {
  /// Where an engine's own things lie. All absolute.
  package struct Places: Sendable {
    /// The plugin's directory.
    package var plugin: String
    /// Where its jobs' work directories are made.
    package var work: String
    /// Its HOME, its cache and its TMPDIR.
    package var own: [String]
    /// The models directory, and files of models elsewhere that the plugin serves.
    package var models: [String]
    /// The directories of PATH and the program's own.
    package var searchPath: [String]
    /// The user's home, if known.
    package var userHome: String?
    /// What no rule made here may cover: the worker's own files.
    package var guarded: [String]
  }

  let places: Places
  let sandbox: PluginSandbox
  let configuration: SandboxConfiguration
  let mode: SandboxConfiguration.Mode
  let devices: DeviceKind

  /// The network is for those who ask for it and are granted it.
  package var allowsNetwork: Bool { sandbox.network == .any && configuration.network == .allow }

  /// - Returns: nil when the operator has switched the sandbox off.
  /// - Throws: ``SandboxRefusal`` when a path that was granted does not exist.
  package func make() throws(SandboxRefusal) -> ProcessSandbox? {
    guard mode != .off else { return nil }
    for path in configuration.read + configuration.write where FilePath.kind(path) == nil {
      throw SandboxRefusal("sandbox grants \(path), which does not exist; create it, or correct the configuration")
    }
    var process = ProcessSandbox()
    process.isRequired = mode == .required || sandbox.isRequired
    process.allowsNetwork = allowsNetwork
    process.devices = SystemPlaces.devices
    process.write = places.own
    var read = SystemPlaces.programs + SystemPlaces.settings + SystemPlaces.kernel + [places.plugin]
    read += places.searchPath.filter(isForeign).flatMap(SystemPlaces.beside)
    if process.allowsNetwork { read += SystemPlaces.networking }
    if devices != .cpu {
      read += SystemPlaces.cards
      process.devices += SystemPlaces.nodes(of: devices, among: FileTree.names(in: "/dev"))
    }
    // Who writes a manifest may not decide to change what others use: that is for the operator's `write`.
    if sandbox.read.contains(.models) || sandbox.write.contains(.models) { read += places.models }
    if sandbox.write.contains(.work) {
      process.write.append(places.work)
    } else if sandbox.read.contains(.work) {
      process.read.append(places.work)
    }
    process.read += unique(read).filter { FilePath.kind($0) != nil }.flatMap(spare) + configuration.read
    process.write += configuration.write
    return process
  }

  /// Whether a directory of PATH is more than what every engine may read. One that holds the user's home is left out:
  /// a shell's mistake must not open all of it.
  private func isForeign(_ directory: String) -> Bool {
    guard directory.hasPrefix("/"), directory != "/",
      !SystemPlaces.programs.contains(where: { directory == $0 || FilePath.isBelow(directory, $0) })
    else { return false }
    guard let home = places.userHome else { return true }
    return directory != home && !FilePath.isBelow(home, directory)
  }

  /// The path, or, where something guarded lies below it, everything below it that is on no way there: the kernel knows
  /// no rule that takes away.
  private func spare(_ path: String) -> [String] {
    guard let resolved = try? FilePath.resolve(path).get() else { return [] }
    if places.guarded.contains(where: { resolved == $0 || FilePath.isBelow(resolved, $0) }) {
      // The plugin's own directory and the models may lie in the worker's directories, but never its configuration.
      return places.models.contains(path) || path == places.plugin ? split(path, resolved) : []
    }
    return split(path, resolved)
  }

  private func split(_ path: String, _ resolved: String) -> [String] {
    guard places.guarded.contains(where: { FilePath.isBelow($0, resolved) }) else { return [path] }
    return FileTree.names(in: resolved).sorted().flatMap { name -> [String] in
      let child = FilePath.join(resolved, name)
      guard !places.guarded.contains(child), let target = try? FilePath.resolve(child).get(), target == child else {
        return []
      }
      return split(child, child)
    }
  }

  private func unique(_ paths: [String]) -> [String] {
    var seen: Set<String> = []
    return paths.filter { seen.insert($0).inserted }
  }
}

/// Why a plugin's engine cannot be confined as it has to be: one sentence.
package struct SandboxRefusal: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
