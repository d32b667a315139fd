import Glibc
import Host

/// Where the templates and the kits lie: in `share/stoker` of the prefix that the program was installed into, or in the
/// checkout that it was built in.
struct SharedFiles {
  let templates: String
  let kits: String

  /// - Parameter executable: the running program, resolved.
  static func find(executable: String) throws -> SharedFiles {
    let shared = FilePath.join(FilePath.parent(FilePath.parent(executable)), "share/stoker")
    let installed = SharedFiles(templates: "\(shared)/templates", kits: "\(shared)/sdks")
    if installed.isThere { return installed }
    var directory = FilePath.parent(executable)
    while directory != "/", directory != "." {
      let checkout = SharedFiles(templates: "\(directory)/Templates", kits: "\(directory)/SDKs")
      if checkout.isThere { return checkout }
      directory = FilePath.parent(directory)
    }
    throw CLIError(
      .failed, class: "installation",
      "the templates are not installed: they belong into \(shared); install Stoker again with `make install`")
  }

  /// Those of the running program.
  static func ofThisProgram() throws -> SharedFiles {
    let path = realpath("/proc/self/exe", nil)
    defer { free(path) }
    return try find(executable: path.map { String(cString: $0) } ?? CommandLine.arguments[0])
  }

  private var isThere: Bool {
    FilePath.kind("\(templates)/plugin.yaml") == .file && FilePath.kind("\(kits)/python") == .directory
  }
}
