import Crypto

/// A directory in which plugins are searched, one subdirectory each.
package struct PluginDirectory: Sendable, Hashable {
  /// Where the host knows it from.
  package enum Origin: String, Sendable {
    /// `--plugins DIR`.
    case commandLine = "--plugins"
    /// `pluginDirectories` in the configuration.
    case configuration = "config"
    /// `<home>/plugins`.
    case home
    /// Beside the host's own program.
    case installed
  }
  /// Absolute.
  package let path: String
  package let origin: Origin

  package init(path: String, origin: Origin) {
    self.path = path
    self.origin = origin
  }
}

/// A plugin that can be started: what its manifest says, and the files it stands for.
package struct Plugin: Sendable, Equatable {
  package let manifest: PluginManifest
  /// The plugin's own directory, absolute, without symbolic links. The engine's working directory, so that arguments
  /// such as `engine.py` are found.
  package let directory: String
  /// The directory in which it was found.
  package let source: PluginDirectory
  /// The manifest's path below ``directory``.
  package let manifestPath: String
  package let executable: PluginExecutable
  /// Changes whenever the manifest, the program, or a file that the command names changes on disk: what the host
  /// compares to learn that a new version lies there. Cheap, and only meaningful on this machine.
  package let fingerprint: String
  /// The program as it was when its digest was found to be the pinned one; nil without a pin. It alone is executed.
  package let pinned: SafeFile.Identity?
  let files: [String]
  let manifestBytes: [UInt8]

  package var name: String { manifest.name }
  /// Program and arguments as the launcher gets them.
  package var arguments: [String] { [executable.path] + manifest.command.dropFirst() }

  /// SHA-256, in hex, over the manifest, the program (only its path when it is not part of the plugin), and the
  /// plugin's files that the command names: equal on every machine that has the same plugin. Quarantine and trust are
  /// keyed by it.
  ///
  /// Reads all those files, so ask for it when there is something to look up, not at every scan.
  package func contentHash() throws(SafeFile.ReadError) -> String {
    var hash = SHA256()
    hash.update(data: Array("manifest \(manifestBytes.count)\n".utf8))
    hash.update(data: manifestBytes)
    if !executable.isInsidePlugin { hash.update(data: Array("program \(executable.path)\n".utf8)) }
    for file in files {
      let digest = try Plugin.sha256(of: file)
      hash.update(data: Array("file \(file.dropFirst(directory.utf8.count + 1)) \(digest.text)\n".utf8))
    }
    return hash.finalize().hexText
  }

  /// SHA-256 of a file in hex, and which file that was.
  package static func sha256(of path: String) throws(SafeFile.ReadError) -> (text: String, file: SafeFile.Identity) {
    var hash = SHA256()
    let identity = try SafeFile.stream(path, maxBytes: 16 << 30) { hash.update(bufferPointer: $0) }
    return (hash.finalize().hexText, identity)
  }
}
