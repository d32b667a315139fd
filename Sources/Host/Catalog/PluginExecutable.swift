/// Finds the program that a manifest's `command` begins with.
///
/// - A word without a slash, such as `python3`, is looked up in the search path.
/// - A path with a slash, such as `./engine`, is relative to the plugin's directory and must lie inside it after every
///   `..` and symbolic link is resolved.
/// - An absolute path is refused: a plugin says what it needs by name, the machine says where it is.
package struct PluginExecutable: Sendable, Equatable {
  /// Absolute. Free of symbolic links when the program lies in the plugin's directory; as found in the search path
  /// otherwise, because programs such as `python3` learn from their path who they are.
  package let path: String
  /// Whether the program is part of the plugin.
  package let isInsidePlugin: Bool

  /// - Parameters:
  ///   - program: the first element of `command`.
  ///   - directory: the plugin's directory, resolved.
  ///   - searchPath: directories for words without a slash.
  /// - Throws: the reason, to be put after `command: `.
  static func find(
    _ program: String, directory: String, searchPath: [String]
  ) throws(PluginExecutableError) -> PluginExecutable {
    if program.hasPrefix("/") {
      throw PluginExecutableError(
        message: "\(program.quotedForMessage) is an absolute path; "
          + "use a path inside the plugin's directory (./engine) or a program's name (python3)")
    }
    if !program.utf8.contains(UInt8(ascii: "/")) {
      for directory in searchPath where directory.hasPrefix("/") {
        let path = FilePath.join(directory, program)
        if FilePath.kind(path) == .file, FilePath.isExecutable(path) {
          return PluginExecutable(path: path, isInsidePlugin: false)
        }
      }
      let isHere = FilePath.kind(FilePath.join(directory, program)) == .file
      throw PluginExecutableError(
        message: "no program \(program.quotedForMessage) is in PATH; "
          + (isHere ? "for the one in the plugin's directory write ./\(program)" : "install it, or correct the name"))
    }
    switch FilePath.resolve(FilePath.join(directory, program)) {
    case .failure(let error):
      throw PluginExecutableError(message: "\(program.quotedForMessage) cannot be used: \(error); build or copy it")
    case .success(let path):
      guard FilePath.isBelow(path, directory) else {
        throw PluginExecutableError(
          message: "\(program.quotedForMessage) leads out of the plugin's directory; put the program inside it")
      }
      guard FilePath.kind(path) == .file else {
        throw PluginExecutableError(message: "\(program.quotedForMessage) is not a regular file")
      }
      return PluginExecutable(path: path, isInsidePlugin: true)
    }
  }
}

/// Why a manifest's program cannot be used.
struct PluginExecutableError: Error {
  let message: String
}
