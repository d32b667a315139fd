import Glibc

/// What lies in one plugin's directory.
package struct CatalogEntry: Sendable, Equatable {
  /// Whether the plugin can be started.
  package enum State: Sendable, Equatable {
    case usable(Plugin)
    /// Why not; never empty.
    case disabled([SourceDiagnostic])
  }
  /// The directory's name, which a usable plugin's name is equal to.
  package let name: String
  /// The plugin's directory as found.
  package let path: String
  package let source: PluginDirectory
  package internal(set) var state: State
  /// Remarks that do not disable the plugin.
  package let warnings: [SourceDiagnostic]

  /// The plugin when it is usable.
  package var plugin: Plugin? { if case .usable(let plugin) = state { plugin } else { nil } }
  /// The directory without symbolic links, as far as it is known.
  var directory: String { plugin?.directory ?? path }
}

/// All plugins as they were at one moment.
package struct CatalogSnapshot: Sendable, Equatable {
  /// In order of precedence: by search directory, then by name.
  package let entries: [CatalogEntry]
  /// Remarks about the search directories themselves.
  package let diagnostics: [SourceDiagnostic]

  package static let empty = CatalogSnapshot(entries: [], diagnostics: [])

  /// The usable plugins, in order of precedence.
  package var plugins: [Plugin] { entries.compactMap(\.plugin) }

  /// The usable plugin of that name.
  package func plugin(named name: String) -> Plugin? { plugins.first { $0.name == name } }

  /// The usable plugins that serve a model, in order of precedence: the first is the one to use.
  package func plugins(serving kind: JobKind, model: String) -> [Plugin] {
    plugins.filter { $0.manifest.serves.contains { $0.kind == kind && $0.serves(model) } }
  }

  /// The usable plugins that serve a kind at all, in order of precedence.
  package func plugins(serving kind: JobKind) -> [Plugin] {
    plugins.filter { $0.manifest.serves.contains { $0.kind == kind } }
  }
}

/// Finds plugins.
///
/// Precedence: directories in the order given, and within one by name. It decides which of two plugins that serve one
/// model is used. Two usable plugins with one name are both disabled, whatever their directories; one directory
/// reached by two paths is one plugin.
package struct PluginCatalog: Sendable {
  package static let manifestName = "plugin.yaml"

  private let reader: PluginReader
  private let maxEntries: Int

  /// - Parameters:
  ///   - searchPath: directories in which a command without a slash is looked up, normally the host's `PATH`.
  ///   - maxEntries: how many plugins of one search directory are looked at.
  package init(searchPath: [String], maxEntries: Int = 10_000) {
    reader = PluginReader(searchPath: searchPath)
    self.maxEntries = maxEntries
  }

  /// Directories of a `PATH`-like text; those that are not absolute are left out.
  package static func searchPath(_ text: String?) -> [String] {
    (text ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map(String.init).filter { $0.hasPrefix("/") }
  }

  /// Reads every `*/plugin.yaml` of the directories. A function of the file system alone: nothing is executed,
  /// written, or remembered from the last time. Directories without a manifest and names that begin with a dot are
  /// passed over; a bad manifest disables its own plugin and nothing else.
  package func scan(_ directories: [PluginDirectory]) -> CatalogSnapshot {
    var entries: [CatalogEntry] = []
    var diagnostics: [SourceDiagnostic] = []
    var seen: Set<FileKey> = []
    for directory in directories {
      guard let names = list(directory, &diagnostics) else { continue }
      for name in names {
        let path = FilePath.join(directory.path, name)
        if let found = FilePath.identity(path)?.identity, !seen.insert(FileKey(found)).inserted { continue }
        entries.append(read(path, name: name, source: directory))
      }
    }
    disableDuplicates(&entries)
    return CatalogSnapshot(entries: entries, diagnostics: diagnostics)
  }

  /// Reads one plugin's directory, as ``scan(_:)`` does.
  package func read(_ path: String, source: PluginDirectory) -> CatalogEntry {
    read(path, name: FilePath.name(path), source: source)
  }

  private func read(_ path: String, name: String, source: PluginDirectory) -> CatalogEntry {
    do throws(SourceDiagnostics) {
      let (plugin, warnings) = try reader.read(path, source: source)
      return CatalogEntry(name: name, path: path, source: source, state: .usable(plugin), warnings: warnings)
    } catch {
      return CatalogEntry(name: name, path: path, source: source, state: .disabled(error.all), warnings: [])
    }
  }

  /// A manifest counts as there even when it is a dangling link, so that its author hears about it.
  private static func hasManifest(_ name: UnsafePointer<CChar>, in directory: Int32) -> Bool {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { path in
      guard let start = path.baseAddress else { return false }
      let length = strlen(name)
      memcpy(start, name, length)
      // With the NUL that ends it.
      memcpy(start + length, manifestSuffix.utf8Start, manifestSuffix.utf8CodeUnitCount + 1)
      var status = stat()
      return fstatat(directory, start, &status, AT_SYMLINK_NOFOLLOW) == 0
    }
  }

  private static let manifestSuffix: StaticString = "/plugin.yaml"

  private func list(_ directory: PluginDirectory, _ diagnostics: inout [SourceDiagnostic]) -> [String]? {
    guard let handle = opendir(directory.path) else {
      let code = errno
      // A directory that nobody named explicitly may be absent.
      if code != ENOENT || directory.origin == .commandLine || directory.origin == .configuration {
        diagnostics.append(
          SourceDiagnostic(
            .error, file: directory.path,
            message: "plugins cannot be searched here: \(String(cString: strerror(code))); "
              + "correct the directory given by \(directory.origin.rawValue)"))
      }
      return nil
    }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      // Directories without a manifest crowd nobody out, however many there are: they cost one system call each.
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name -> String? in
          guard name[0] != CChar(UInt8(ascii: ".")), PluginCatalog.hasManifest(name, in: dirfd(handle)) else {
            return nil
          }
          // A name that is not UTF-8 can be no plugin's.
          return String(validatingCString: name)
        }
      }
      if let name { names.append(name) }
    }
    // In order of names, so that chance does not decide who is left out.
    names.sort()
    if names.count > maxEntries {
      diagnostics.append(
        SourceDiagnostic(
          .warning, file: directory.path, message: "more than \(maxEntries) plugins; the rest is not searched"))
      names.removeSubrange(maxEntries...)
    }
    return names
  }

  private func disableDuplicates(_ entries: inout [CatalogEntry]) {
    let usable = entries.indices.filter { entries[$0].plugin != nil }
    for (name, same) in Dictionary(grouping: usable, by: { entries[$0].name }) where same.count > 1 {
      let paths = same.map { entries[$0].path }
      for index in same {
        let others = paths.filter { $0 != entries[index].path }.joined(separator: " and ")
        entries[index].state = .disabled([
          SourceDiagnostic(
            .error, file: FilePath.join(entries[index].path, PluginCatalog.manifestName),
            message: "the plugin name '\(name)' is also used by \(others); remove or rename one of them")
        ])
      }
    }
  }
}

/// One directory, however it is reached.
private struct FileKey: Hashable {
  let device: UInt64
  let inode: UInt64

  init(_ identity: SafeFile.Identity) {
    device = identity.device
    inode = identity.inode
  }
}
