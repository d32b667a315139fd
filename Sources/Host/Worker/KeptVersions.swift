import Glibc
import PluginProtocol
import Synchronization

/// Copies of the last version of each plugin that has started well, so that it can be started again after its directory
/// was overwritten or replaced: `<state>/kept/NAME/HASH/NAME`.
///
/// One version a plugin, besides those that processes still run from. Small files, and those that the command names,
/// are copied (shared blocks where the file system can); larger ones are hard links, which cost nothing and last as long
/// as they are replaced and not rewritten: that is checked before the version is used again.
package final class KeptVersions: Sendable {
  /// A version that can be gone back to.
  package struct Version: Sendable {
    /// The plugin as it lies in its copy.
    package let plugin: Plugin
    package let contentHash: String
    /// Fingerprint of the directory that was copied; nil for a version of the worker's former life.
    package let origin: String?
  }

  /// Files up to this size are copied, larger ones linked.
  static let copiedFile: Int64 = 1 << 20
  /// Bytes that one version may take where nothing can be linked or shared.
  static let copiedBytes: Int64 = 512 << 20
  private static let listName = "links.json"

  private let directory: String
  private let catalog: PluginCatalog
  private struct State {
    var versions: [String: Version] = [:]
    /// Fingerprints of what was copied, by content hash: its supervisor may run from the copy under the name of its own
    /// directory.
    var origins: [String: Set<String>] = [:]
    /// Plugins of which a copy is being made.
    var keeping: Set<String> = []
  }
  private let state = Mutex(State())

  /// - Parameter directory: made when something is first kept.
  package init(directory: String, catalog: PluginCatalog) {
    self.directory = directory
    self.catalog = catalog
  }

  /// Finds what a former life has kept, of the plugins that are still there; removes the rest. Blocks.
  package func load(names: Set<String>) {
    for name in FileTree.names(in: directory) {
      let place = FilePath.join(directory, name)
      let hashes = FileTree.names(in: place).filter { $0.utf8.count == 64 }
      // More than one: the worker ended between two steps. Which is the good one cannot be told.
      guard names.contains(name), hashes.count == 1, let hash = hashes.first, let plugin = read(name, hash) else {
        FileTree.remove(place)
        continue
      }
      state.withLock { $0.versions[name] = Version(plugin: plugin, contentHash: hash, origin: nil) }
    }
  }

  package func version(_ name: String) -> Version? { state.withLock { $0.versions[name] } }

  /// Whether the plugin lies in a kept copy.
  func isKept(_ plugin: Plugin) -> Bool { FilePath.isBelow(plugin.directory, directory) }

  /// Keeps the version that lies in the plugin's directory, if that is still the one given. Blocks.
  ///
  /// - Parameters:
  ///   - inUse: plugins that processes run from; a copy of one of them is not replaced.
  ///   - checkpoint: throws to end the copying.
  /// - Returns: false when it is kept already, lies there no more, or cannot be kept yet.
  /// - Throws: `ArchiveError`, or what `checkpoint` throws; then nothing is kept of it.
  func keep(
    _ plugin: Plugin, inUse: [Plugin] = [], checkpoint: @escaping () throws -> Void = {}
  ) throws -> Bool {
    guard !isKept(plugin), version(plugin.name)?.origin != plugin.fingerprint,
      state.withLock({ $0.keeping.insert(plugin.name).inserted })
    else { return false }
    defer { state.withLock { _ = $0.keeping.remove(plugin.name) } }
    let before = TreeStamp(of: plugin.directory)
    guard isThere(plugin) else { return false }
    let hash = try plugin.contentHash()
    let place = FilePath.join(directory, plugin.name)
    let final = FilePath.join(place, hash)
    let staging = FilePath.join(place, ".new")
    for path in [directory, place] {
      guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("make", path) }
    }
    FileTree.remove(staging)
    defer { FileTree.remove(staging) }
    guard mkdir(staging, 0o700) == 0 else { throw failure("make", staging) }
    var limits = ArchiveLimits()
    limits.unpackedBytes = KeptVersions.copiedBytes
    var copy = DirectoryCopy(limits: limits)
    copy.checkpoint = checkpoint
    let named = Set(plugin.files.map { String($0.dropFirst(plugin.directory.utf8.count + 1)) })
    copy.way = { path, bytes in bytes > KeptVersions.copiedFile && !named.contains(path) ? .link : .copy }
    let target = FilePath.join(staging, plugin.name)
    try copy.run(from: plugin.directory, to: target)
    try SmallFile.write(
      Array(list(copy.linked, in: target).text.utf8), to: FilePath.join(staging, KeptVersions.listName))
    // What changed meanwhile may be half old and half new.
    guard isThere(plugin), TreeStamp(of: plugin.directory) == before else { return false }
    if isUsed(hash, place, inUse.filter { $0.fingerprint != plugin.fingerprint }) { return false }
    FileTree.remove(final)
    guard rename(staging, final) == 0 else { throw failure("name", final) }
    guard let kept = read(plugin.name, hash) else {
      throw ArchiveError("the copy of \(plugin.directory) is not usable")
    }
    state.withLock {
      $0.versions[plugin.name] = Version(plugin: kept, contentHash: hash, origin: plugin.fingerprint)
      $0.origins[hash, default: []].insert(plugin.fingerprint)
    }
    return true
  }

  /// The version to start, when it can be relied on. Blocks for as long as its program takes to be read.
  func usable(_ name: String) -> Version? {
    guard let version = version(name), read(name, version.contentHash) != nil,
      (try? version.plugin.contentHash()) == version.contentHash
    else { return nil }
    return version
  }

  /// The plugin is gone: nobody goes back to it.
  func forget(_ name: String) { state.withLock { _ = $0.versions.removeValue(forKey: name) } }

  /// Removes the copies of a plugin that are not the one to go back to, and that nobody runs from. Blocks.
  func prune(_ name: String, inUse: [Plugin]) {
    let place = FilePath.join(directory, name)
    let (kept, isBusy) = state.withLock { ($0.versions[name]?.contentHash, $0.keeping.contains(name)) }
    if isBusy { return }
    var isEmpty = kept == nil
    for hash in FileTree.names(in: place) where hash != kept && !hash.hasPrefix(".") {
      let path = FilePath.join(place, hash)
      if isUsed(hash, place, inUse) {
        isEmpty = false
      } else {
        FileTree.remove(path)
        state.withLock { _ = $0.origins.removeValue(forKey: hash) }
      }
    }
    if isEmpty { rmdir(place) }
  }

  /// Whether processes may run from a copy.
  private func isUsed(_ hash: String, _ place: String, _ inUse: [Plugin]) -> Bool {
    let origins = state.withLock { $0.origins[hash] ?? [] }
    let path = FilePath.join(place, hash)
    return inUse.contains { FilePath.isBelow($0.directory, path) || origins.contains($0.fingerprint) }
  }

  private func isThere(_ plugin: Plugin) -> Bool {
    catalog.read(plugin.directory, source: plugin.source).plugin?.fingerprint == plugin.fingerprint
  }

  /// The plugin in its copy; nil when that is not what was kept.
  private func read(_ name: String, _ hash: String) -> Plugin? {
    let place = FilePath.join(FilePath.join(directory, name), hash)
    let target = FilePath.join(place, name)
    guard let bytes = try? SafeFile.read(FilePath.join(place, KeptVersions.listName), maxBytes: 8 << 20).bytes,
      let recorded = try? JSONValue(parsing: bytes), let paths = recorded.object?.keys,
      list(Array(paths), in: target) == recorded
    else { return nil }
    return catalog.read(target, source: PluginDirectory(path: place, origin: .home)).plugin
  }

  /// Which files were linked, and as what: a file that is rewritten in place changes here too.
  private func list(_ paths: [String], in target: String) -> JSONValue {
    var list: [String: JSONValue] = [:]
    for path in paths {
      let identity = FilePath.identity(FilePath.join(target, path))?.identity
      list[path] = .string("\(identity?.inode ?? 0) \(identity?.size ?? -1) \(identity?.modified ?? 0)")
    }
    return .object(list)
  }

  private func failure(_ what: String, _ path: String) -> ArchiveError {
    ArchiveError("cannot \(what) \(path): \(errorText(errno))")
  }
}
