import Glibc

/// What can be learnt about a program that did not start, without running anything. Effects only; `ExitDiagnosis` judges.
package struct ExecutableFacts: Sendable, Equatable {
  /// The file that the command means; `nil` when a bare name was found nowhere in `PATH`.
  package var path: String?
  package var exists = false
  package var isRegularFile = false
  package var isExecutable = false
  package var format = ExecutableFormat.unknown
  /// Whether the interpreter or dynamic loader that the file names exists; `nil` when it names none.
  package var interpreterExists: Bool?

  package init() {}

  /// Looks at the program of a command as the launcher would find it.
  package static func inspect(
    command: String, searchPath: String?, workingDirectory: String?
  ) -> ExecutableFacts {
    var facts = ExecutableFacts()
    facts.path = resolve(command, searchPath: searchPath, workingDirectory: workingDirectory)
    guard let path = facts.path else { return facts }
    var status = stat()
    guard stat(path, &status) == 0 else { return facts }
    facts.exists = true
    facts.isRegularFile = status.st_mode & S_IFMT == S_IFREG
    // Root may do anything except execute what nobody may execute.
    facts.isExecutable = access(path, X_OK) == 0
    guard facts.isRegularFile else { return facts }
    // Program headers and the loader's name come first in practice; a file that hides them is not understood, no more.
    facts.format = ExecutableFormat(head: readSmallFile(path, limit: 16 * 1024) ?? [])
    switch facts.format {
    case .elf(_, _, let interpreter?): facts.interpreterExists = access(interpreter, F_OK) == 0
    case .script(let interpreter, _):
      let absolute = absolutePath(interpreter, below: workingDirectory)
      facts.interpreterExists = access(absolute, F_OK) == 0
    default: break
    }
    return facts
  }

  private static func resolve(_ command: String, searchPath: String?, workingDirectory: String?) -> String? {
    if command.utf8.contains(UInt8(ascii: "/")) { return absolutePath(command, below: workingDirectory) }
    var found: String?
    for directory in (searchPath ?? "").split(separator: ":") {
      let path = absolutePath("\(directory)/\(command)", below: workingDirectory)
      if access(path, X_OK) == 0 { return path }
      if found == nil && access(path, F_OK) == 0 { found = path }
    }
    return found
  }

  private static func absolutePath(_ path: String, below directory: String?) -> String {
    guard !path.hasPrefix("/"), let directory else { return path }
    return "\(directory)/\(path)"
  }
}
