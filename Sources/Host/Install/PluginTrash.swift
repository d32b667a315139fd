/// Directories of plugins that were replaced or removed, and that processes may still run from:
/// `.trash-NAME-XXXXXX` beside the others, where the catalogue does not look.
enum PluginTrash {
  private static let prefix = ".trash-"

  /// How a directory of that plugin's begins, for `mkdtemp`.
  static func prefix(of name: String) -> String { prefix + name + "-" }

  /// Removes them from the home's plugin directory.
  ///
  /// - Parameter name: of that plugin; nil for all.
  static func sweep(_ directories: [PluginDirectory], of name: String?) {
    for directory in directories where directory.origin == .home {
      for entry in FileTree.names(in: directory.path) where entry.hasPrefix(prefix) {
        // Names may have dashes: what stands before the six letters of chance is compared as a whole.
        guard name == nil || name.map({ prefix(of: $0) }) == String(entry.dropLast(6)) else { continue }
        FileTree.remove(FilePath.join(directory.path, entry))
      }
    }
  }
}
