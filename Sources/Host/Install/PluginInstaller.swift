import CLinux
import Glibc
import PluginProtocol

/// Puts plugins into the home's plugin directory and takes them out, in one step each. Needs no running worker, and
/// executes nothing.
///
/// Everything is made in a directory of its own beside the destination, closed to others, and removed whatever happens.
/// Blocks; one at a time for each home.
package struct PluginInstaller {
  /// Names that the catalogue passes over, because they begin with a dot.
  static let stagingPrefix = ".staging-"
  private static let lockName = ".install.lock"
  /// Bytes of a signature's file.
  private static let signatureBytes: Int64 = 4096

  /// What to install.
  package struct Request: Sendable {
    /// A directory, an archive's path, or its https URL.
    package var source: String
    package var sha256: String?
    /// A path or an https URL.
    package var signature: String?
    /// Whether an installed plugin of the same name is replaced.
    package var replaces = false

    package init(source: String) { self.source = source }
  }

  /// What was done.
  package struct Installed: Sendable, Equatable {
    package var name: String
    package var version: String
    /// Where it lies.
    package var path: String
    /// The version that was replaced; nil for a new plugin.
    package var replaced: String?
    /// Where the replaced one lies until nobody runs from it.
    package var trash: String?
    /// The linter's remarks, without the errors that would have stopped it.
    package var warnings: [String] = []
  }

  let layout: HomeLayout
  let policy: InstallConfiguration
  let searchPath: [String]
  let downloads: InputSettings
  let limits = ArchiveLimits()
  let cancel: CancelSignal
  /// Bytes that have come, and of how many.
  let progress: (Int64, Int64?) -> Void

  package init(
    layout: HomeLayout, configuration: HostConfiguration, searchPath: [String], downloads: InputSettings = .init(),
    cancel: CancelSignal, progress: @escaping (Int64, Int64?) -> Void = { _, _ in }
  ) {
    self.layout = layout
    policy = configuration.install
    self.searchPath = searchPath
    self.downloads = downloads
    self.cancel = cancel
    self.progress = progress
  }

  private var directory: String { layout.userPluginDirectory }

  // MARK: Install

  /// - Throws: `InstallError`, `ArchiveError`, `SourceDiagnostics` for a plugin that the host would not use,
  ///   `CancellationError`; then nothing is left of it.
  package func install(_ request: Request) throws -> Installed {
    do {
      return try locked { try stage(request) }
    } catch let failure as InputFailure {
      throw InstallError(.failed, failure.message)
    } catch let failure as ModelError {
      throw InstallError(.failed, failure.message)
    }
  }

  private func stage(_ request: Request) throws -> Installed {
    let staging = try makeTemporary(PluginInstaller.stagingPrefix)
    defer { FileTree.remove(staging) }
    let unpacked = FilePath.join(staging, "unpacked")
    if !PluginInstaller.isURL(request.source), FilePath.kind(request.source) == .directory {
      try PackageProof.checkDirectory(policy)
      guard request.sha256 == nil, request.signature == nil else {
        throw InstallError(.usage, "\(request.source) is a directory; --sha256 and --signature are for archives")
      }
      var copy = DirectoryCopy(limits: limits)
      copy.checkpoint = { try cancel.check() }
      try copy.run(from: request.source, to: unpacked)
    } else {
      let archive = FilePath.join(staging, "archive")
      try bring(request.source, to: archive, limit: limits.archiveBytes, as: "the archive")
      var proof = PackageProof(sha256: request.sha256)
      if let signature = request.signature {
        let file = FilePath.join(staging, "signature")
        try bring(signature, to: file, limit: PluginInstaller.signatureBytes, as: "the signature")
        proof.signature = try SafeFile.read(file, maxBytes: Int(PluginInstaller.signatureBytes)).bytes
      }
      try proof.check(archive, policy)
      try unpack(archive, into: unpacked)
    }
    let (path, plugin, warnings) = try examine(unpacked, staging)
    var installed = try place(path, plugin, replaces: request.replaces)
    installed.warnings = warnings
    return installed
  }

  static func isURL(_ source: String) -> Bool {
    source.lowercased().hasPrefix("https://") || source.lowercased().hasPrefix("http://")
  }

  /// Brings a file into the staging directory, where nobody can change it any more.
  private func bring(_ source: String, to path: String, limit: Int64, as name: String) throws {
    if PluginInstaller.isURL(source) {
      try InputFetch(
        url: try RemoteURL(source), field: name, origin: .local, settings: downloads, limit: limit,
        deadline: .now + downloads.totalTimeout, checkCancelled: { try cancel.check() }, progress: progress
      ).run(to: path)
      return
    }
    let (input, status) = try FileCopy.openRegular(source, name: name)
    defer { close(input) }
    let total = Int64(status.st_size)
    guard total <= limit else {
      throw InstallError(.refused, "\(source) has more than \(ByteSize.text(limit)), which is what \(name) may have")
    }
    try FileCopy.create(path, durable: false) { output in
      let copied = try FileCopy.copy(input, into: output, limit: limit) {
        try cancel.check()
        progress($0, total)
      }
      guard copied <= limit else { throw InstallError(.refused, "\(source) grew while it was read") }
    }
  }

  private func unpack(_ archive: String, into unpacked: String) throws {
    guard mkdir(unpacked, 0o755) == 0 else { throw failure("make", unpacked) }
    let descriptor = open(archive, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw failure("read", archive) }
    defer { close(descriptor) }
    try ArchiveUnpacker.unpack(descriptor, into: unpacked, limits: limits) { try cancel.check() }
  }

  // MARK: What it is

  /// Finds the plugin in what was unpacked, gives its directory its name, and asks the host's own code about it.
  private func examine(
    _ unpacked: String, _ staging: String
  ) throws -> (path: String, plugin: Plugin, warnings: [String]) {
    let root = try root(of: unpacked)
    let name = try name(of: root)
    let home = FilePath.join(staging, "ready")
    let path = FilePath.join(home, name)
    guard mkdir(home, 0o755) == 0, rename(root, path) == 0 else { throw failure("make", path) }
    let report = PluginLint.lint(path, searchPath: searchPath)
    // People are to see the path that they know, not the one that is gone in a moment.
    let shown = { (text: String) in text.split(separator: home + "/").joined() }
    guard let plugin = report.plugin else {
      let reasons = report.diagnostics.map { shown("\($0)") }.joined(separator: "; ")
      throw InstallError(.refused, "the plugin cannot be used: \(reasons)")
    }
    return (path, plugin, report.diagnostics.map { shown("\($0)") })
  }

  /// The directory that holds `plugin.yaml`: what was unpacked, or the one directory in it.
  private func root(of unpacked: String) throws(InstallError) -> String {
    let manifest = PluginCatalog.manifestName
    if FilePath.kind(FilePath.join(unpacked, manifest)) != nil { return unpacked }
    let names = FileTree.names(in: unpacked)
    if names.count == 1, let name = names.first {
      let inner = FilePath.join(unpacked, name)
      if FilePath.kind(FilePath.join(inner, manifest)) != nil { return inner }
    }
    throw InstallError(
      .refused, "there is no \(manifest) in it: it must lie at the top, or in the one directory that is there")
  }

  /// The name that the manifest gives; everything else about it is the linter's to say.
  private func name(of root: String) throws -> String {
    let file = FilePath.join(root, PluginCatalog.manifestName)
    let bytes = try SafeFile.read(file, maxBytes: YAMLLimits.manifest.bytes).bytes
    let node = try YAMLNode(parsing: bytes, file: PluginCatalog.manifestName, limits: .manifest)
    guard case .string(let name)? = node["name"]?.scalar, PluginManifest.isName(name) else {
      throw InstallError(.refused, "plugin.yaml has no usable 'name'; use 1 to 40 of a-z, 0-9 and -")
    }
    return name
  }

  // MARK: Where it goes

  private func place(_ path: String, _ plugin: Plugin, replaces: Bool) throws -> Installed {
    let name = plugin.name
    for other in layout.pluginDirectories where other.path != directory {
      let twin = FilePath.join(other.path, name)
      guard FilePath.kind(FilePath.join(twin, PluginCatalog.manifestName)) != nil else { continue }
      throw InstallError(
        .exists,
        "a plugin \(name) is in \(twin) (\(other.origin.rawValue)) already, and two of one name are both switched off: "
          + "remove that one, or give this one another name in its plugin.yaml")
    }
    let destination = FilePath.join(directory, name)
    var installed = Installed(name: name, version: plugin.manifest.version, path: destination)
    try cancel.check()
    let status = linux_rename_noreplace(AT_FDCWD, path, AT_FDCWD, destination)
    if status == -EEXIST || status == -ENOTEMPTY {
      let old = version(at: destination)
      guard replaces else {
        throw InstallError(
          .exists, "\(name) \(old) is installed in \(destination) already; replace it with --replace")
      }
      try exchange(path, destination)
      installed.replaced = old
      do {
        installed.trash = try trash(path, name)
      } catch {
        try exchange(path, destination)
        throw error
      }
    } else if status < 0 {
      throw InstallError(.failed, "cannot make \(destination): \(errorText(-status))")
    }
    try FileCopy.syncDirectory(directory)
    return installed
  }

  private func version(at path: String) -> String {
    PluginCatalog(searchPath: searchPath).read(path, source: PluginDirectory(path: directory, origin: .home))
      .plugin?.manifest.version ?? "(of which the manifest cannot be used)"
  }

  private func exchange(_ first: String, _ second: String) throws(InstallError) {
    let status = linux_rename_exchange(AT_FDCWD, first, AT_FDCWD, second)
    guard status >= 0 else { throw InstallError(.failed, "cannot replace \(second): \(errorText(-status))") }
  }

  /// Puts a replaced version back, which is consumed, and removes what replaced it.
  package func undo(_ installed: Installed) throws {
    guard let trash = installed.trash else { return }
    try locked {
      try exchange(trash, installed.path)
      FileTree.remove(trash)
    }
  }

  // MARK: Remove

  /// Takes a plugin out of the home's plugin directory.
  ///
  /// - Returns: where it lies until nobody runs from it: for ``discard(_:)``.
  package func remove(_ name: String) throws -> String {
    let path = FilePath.join(directory, name)
    guard PluginManifest.isName(name), FilePath.kind(FilePath.join(path, PluginCatalog.manifestName)) != nil else {
      for other in layout.pluginDirectories where FilePath.kind(FilePath.join(other.path, name)) == .directory {
        throw InstallError(
          .usage,
          "\(name) is in \(other.path) (\(other.origin.rawValue)) and was not installed into \(directory): "
            + "switch it off with `stoker plugins disable \(name)`, or remove its directory yourself")
      }
      let names = FileTree.names(in: directory).filter { !$0.hasPrefix(".") }
      throw InstallError(.usage, NearestName.message(unknown: "plugin", name, among: names) + " in \(directory)")
    }
    return try locked { try trash(path, name) }
  }

  /// Removes what `install` and `remove` have put aside.
  package func discard(_ trash: String) { FileTree.remove(trash) }

  /// Moves a directory out of the catalogue's sight.
  private func trash(_ path: String, _ name: String) throws -> String {
    let trash = try makeTemporary(PluginTrash.prefix(of: name))
    // An empty directory gives way to the one that is renamed to it, and not to a link.
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK { rmdir(trash) }
    guard rename(path, trash) == 0 else {
      let failure = failure("move", path)
      rmdir(trash)
      throw failure
    }
    return trash
  }

  // MARK: Plumbing

  private func locked<Value>(_ body: () throws -> Value) throws -> Value {
    try makeDirectories()
    guard
      let lock = try FileLock.exclusive(
        FilePath.join(directory, PluginInstaller.lockName), create: true, waitsForWriters: true, cancel: cancel,
        onWait: {})
    else { throw InstallError(.failed, "another program holds \(directory)/\(PluginInstaller.lockName)") }
    defer { lock.release() }
    // Whoever was killed has left its own; only the holder of the lock has one that is in use.
    for name in FileTree.names(in: directory) where name.hasPrefix(PluginInstaller.stagingPrefix) {
      FileTree.remove(FilePath.join(directory, name))
    }
    return try body()
  }

  private func makeDirectories() throws {
    var path = ""
    for part in directory.split(separator: "/") {
      path += "/" + part
      // As the worker makes its home.
      guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("make", path) }
    }
  }

  private func makeTemporary(_ prefix: String) throws(InstallError) -> String {
    var template = Array(FilePath.join(directory, prefix + "XXXXXX").utf8CString)
    let isMade = mkdtemp(&template) != nil
    guard isMade else { throw failure("make a directory in", directory) }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private func failure(_ what: String, _ path: String) -> InstallError {
    InstallError(.failed, "cannot \(what) \(path): \(errorText(errno))")
  }
}
