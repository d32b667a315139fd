import Glibc

/// Questions about paths that need the file system. None of them opens a file.
package enum FilePath {
  /// What a path leads to after symbolic links.
  package enum Kind: Sendable, Equatable {
    case file
    case directory
    case other
  }

  /// The absolute path without symbolic links, or the `errno`.
  package static func resolve(_ path: String) -> Result<String, PathError> {
    guard !path.utf8.contains(0), let resolved = realpath(path, nil) else {
      return .failure(PathError(code: path.utf8.contains(0) ? EINVAL : errno))
    }
    defer { free(resolved) }
    guard let text = String(validatingCString: resolved) else { return .failure(PathError(code: EILSEQ)) }
    return .success(text)
  }

  /// What the path leads to, or nil when it leads nowhere.
  package static func kind(_ path: String) -> Kind? { identity(path)?.kind }

  /// What the path leads to and which file it is, or nil when it leads nowhere.
  package static func identity(_ path: String) -> (kind: Kind, identity: SafeFile.Identity)? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    let kind: Kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .directory
      default: .other
      }
    return (kind, SafeFile.Identity(status))
  }

  /// Whether this process may execute the file.
  package static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

  /// Whether `path` lies below `directory`; both must be resolved.
  package static func isBelow(_ path: String, _ directory: String) -> Bool {
    path.hasPrefix(directory.hasSuffix("/") ? directory : directory + "/")
  }

  /// The last component.
  package static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

  /// The path without its last component.
  package static func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// One path below another.
  package static func join(_ directory: String, _ name: String) -> String {
    directory.hasSuffix("/") ? directory + name : directory + "/" + name
  }
}

/// Why a path does not lead anywhere.
package struct PathError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An `errno`.
  package let code: Int32

  package var description: String {
    switch code {
    case ENOENT, ENOTDIR: "it does not exist"
    case ELOOP: "its symbolic links go round in a circle"
    default: String(cString: strerror(code))
    }
  }
}
