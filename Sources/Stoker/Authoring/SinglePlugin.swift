import Glibc
import Host

/// A search directory with one plugin in it, wherever that lies: for a worker that is to have no other.
struct SinglePlugin: Sendable {
  let plugin: Plugin
  /// Holds a link to the plugin's directory.
  let searchDirectory: String

  /// - Throws: `CLIError` with the host's verdict when the plugin cannot be used.
  init(_ directory: String) throws {
    guard FilePath.kind(directory) == .directory, case .success(let path) = FilePath.resolve(directory) else {
      throw CLIError.usage("\(directory.quotedForMessage) is no directory; name the one that holds plugin.yaml")
    }
    let report = PluginLint.lint(path, searchPath: PluginCatalog.searchPath(Environment.value("PATH")))
    guard report.isUsable, let plugin = report.plugin else {
      let problems = report.diagnostics.map { "\($0)" }.joined(separator: "\n")
      throw CLIError(.failed, class: "lint", "\(directory) cannot be used:\n\(problems)")
    }
    self.plugin = plugin
    var template = Array("\(Environment.value("TMPDIR") ?? "/tmp")/stoker-plugin-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw CLIError.failed("cannot make a temporary directory: \(String(cString: strerror(errno)))")
    }
    searchDirectory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    guard symlink(path, FilePath.join(searchDirectory, plugin.name)) == 0 else {
      let error = CLIError.failed("cannot link the plugin: \(String(cString: strerror(errno)))")
      remove()
      throw error
    }
  }

  /// Removes the search directory; the plugin stays.
  func remove() {
    unlink(FilePath.join(searchDirectory, plugin.name))
    rmdir(searchDirectory)
  }

  /// The kind that it serves, when that is one alone.
  var onlyKind: JobKind? {
    let kinds = Set(plugin.manifest.serves.map(\.kind))
    return kinds.count == 1 ? kinds.first : nil
  }
}
