import Crypto

/// Reads one plugin's directory: the manifest, and whether the files it names are there. Never executes anything.
struct PluginReader: Sendable {
  /// Where programs without a slash are looked up.
  let searchPath: [String]

  /// - Parameter directory: the plugin's directory as found.
  /// - Returns: the plugin, and remarks that do not disable it.
  func read(
    _ directory: String, source: PluginDirectory
  ) throws(SourceDiagnostics) -> (plugin: Plugin, warnings: [SourceDiagnostic]) {
    let shownPath = FilePath.join(directory, PluginCatalog.manifestName)
    let root = try resolve(directory, shownAs: directory)
    let manifestPath = try resolve(FilePath.join(root, PluginCatalog.manifestName), shownAs: shownPath)
    guard FilePath.isBelow(manifestPath, root) else {
      throw failure(
        shownPath, "the manifest is a symbolic link out of the plugin's directory; put the file itself there")
    }
    let contents: SafeFile.Contents
    do {
      contents = try SafeFile.read(manifestPath, maxBytes: YAMLLimits.manifest.bytes)
    } catch {
      throw failure(shownPath, error.reason.description)
    }
    let decoded = try PluginManifest.decode(
      contents.bytes, file: shownPath, directoryName: FilePath.name(directory))
    let program = decoded.manifest.command.first ?? ""
    let executable: PluginExecutable
    do {
      executable = try PluginExecutable.find(program, directory: root, searchPath: searchPath)
    } catch {
      throw failure(shownPath, "command: \(error.message)", at: decoded.commandMark)
    }
    let pinned = try checkPin(decoded, executable, shownPath)
    let files = namedFiles(decoded.manifest, executable, root)
    let plugin = Plugin(
      manifest: decoded.manifest, directory: root, source: source, manifestPath: manifestPath, executable: executable,
      fingerprint: fingerprint(contents, executable, files), pinned: pinned, files: files, manifestBytes: contents.bytes
    )
    return (plugin, decoded.warnings)
  }

  private func resolve(_ path: String, shownAs shown: String) throws(SourceDiagnostics) -> String {
    switch FilePath.resolve(path) {
    case .success(let resolved): return resolved
    case .failure(let error): throw failure(shown, "cannot be read: \(error)")
    }
  }

  private func failure(_ file: String, _ message: String, at mark: YAMLMark? = nil) -> SourceDiagnostics {
    SourceDiagnostics([
      SourceDiagnostic(.error, file: file, line: mark?.line ?? 0, column: mark?.column ?? 0, message: message)
    ])
  }

  private func checkPin(
    _ decoded: PluginManifest.Decoded, _ executable: PluginExecutable, _ file: String
  ) throws(SourceDiagnostics) -> SafeFile.Identity? {
    guard let pin = decoded.manifest.sha256 else { return nil }
    let (actual, identity): (String, SafeFile.Identity)
    do {
      (actual, identity) = try Plugin.sha256(of: executable.path)
    } catch {
      throw failure(file, "sha256: the program cannot be read: \(error)", at: decoded.commandMark)
    }
    guard actual == pin else {
      throw failure(
        file, "sha256: the program has \(actual), the manifest demands \(pin); install the right program",
        at: decoded.commandMark)
    }
    return identity
  }

  /// The program, when it is the plugin's, and every argument that is a file inside the plugin's directory, such as the
  /// script of an interpreter.
  private func namedFiles(_ manifest: PluginManifest, _ executable: PluginExecutable, _ root: String) -> [String] {
    var files = executable.isInsidePlugin ? [executable.path] : []
    for argument in manifest.command.dropFirst() where !argument.isEmpty && !argument.hasPrefix("/") {
      guard case .success(let path) = FilePath.resolve(FilePath.join(root, argument)), FilePath.isBelow(path, root),
        FilePath.kind(path) == .file, !files.contains(path)
      else { continue }
      files.append(path)
    }
    return files
  }

  private func fingerprint(
    _ manifest: SafeFile.Contents, _ executable: PluginExecutable, _ files: [String]
  ) -> String {
    var hash = SHA256()
    hash.update(data: manifest.bytes)
    for path in [executable.path] + files {
      let identity = FilePath.identity(path)?.identity
      hash.update(
        data: Array(
          "\n\(path) \(identity.map { "\($0.device) \($0.inode) \($0.size) \($0.modified) \($0.mode)" } ?? "-")".utf8))
    }
    return hash.finalize().hexText
  }
}
