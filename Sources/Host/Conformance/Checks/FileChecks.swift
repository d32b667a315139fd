import Glibc
import PluginProtocol

extension ConformanceCheck {
  static let fileChecks: [ConformanceCheck] = [
    ConformanceCheck(
      "task-file", "Content files", needs: [job], limit: .seconds(30),
      demands: "With content-files, a task that comes as a file is done."
    ) { bench in
      let (work, model) = try bench.provenJob()
      let engine = try bench.ready()
      try bench.require(.contentFiles, engine)
      try bench.complete(engine, work, model) { members, directory in
        var task = members["task"]?.object ?? [:]
        task["xFiller"] = .string(String(repeating: "y", count: ContentLimits.inlineBytes + 1000))
        try ConformanceFiles.write(JSONValue.object(task).bytes, to: FilePath.join(directory, "task.json"))
        members["task"] = nil
        members["taskFile"] = "task.json"
      }
    },
    ConformanceCheck(
      "own-directory", "The process", needs: [job],
      demands: "The engine writes nothing into the plugin's directory, and nothing beside the work directories."
    ) { bench in
      for path in FileTree.names(in: bench.directories.work) {
        throw ConformanceFault(
          expected: "nothing in the parent of the work directories", got: path,
          advice: "write into workDirectory of the job, into TMPDIR, or into directories.cache")
      }
      let grown = bench.setup.listing.newer(in: bench.plugin.directory)
      guard !grown.isEmpty else { return }
      let shown = grown.prefix(5).joined(separator: ", ")
      if grown.allSatisfy({ $0.contains("__pycache__") }) {
        return bench.warn(
          expected: "a plugin's directory that stays as it is", got: shown,
          advice: "start Python with -B, or set sys.dont_write_bytecode before the first import of your own")
      }
      throw ConformanceFault(
        expected: "a plugin's directory that stays as it is", got: shown,
        advice: "write into workDirectory of the job, into TMPDIR, or into directories.cache")
    },
  ]
}

/// The files of a directory and when each was changed.
struct DirectoryListing: Sendable {
  private let files: [String: SafeFile.Identity]

  /// - Parameter root: three levels below it are looked at, ten thousand files at most.
  init(_ root: String) { files = DirectoryListing.read(root) }

  /// What is new or changed since.
  func newer(in root: String) -> [String] {
    DirectoryListing.read(root).filter { files[$0.key] != $0.value }.map(\.key).sorted()
  }

  private static func read(_ root: String) -> [String: SafeFile.Identity] {
    var found: [String: SafeFile.Identity] = [:]
    var pending: [(String, Int)] = [("", 0)]
    while let (prefix, depth) = pending.popLast(), found.count < 10_000 {
      for name in FileTree.names(in: FilePath.join(root, prefix)) {
        let path = prefix.isEmpty ? name : FilePath.join(prefix, name)
        guard let (kind, identity) = FilePath.identity(FilePath.join(root, path)) else { continue }
        if kind == .directory {
          if depth < 3 { pending.append((path, depth + 1)) }
        } else {
          found[path] = identity
        }
      }
    }
    return found
  }
}
