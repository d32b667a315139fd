import Glibc
import Host

/// Makes the directory of a new plugin.
struct PluginScaffold {
  let name: String
  let language: TemplateLanguage
  let kind: JobKind
  let shared: SharedFiles
  /// As it is shown: the plugin's directory.
  let directory: String

  /// Most bytes of one file of a template or a kit.
  private static let fileBytes = 1 << 20

  /// Refuses names that a manifest cannot have.
  static func check(name: String) throws {
    let allowed = name.utf8.allSatisfy {
      ($0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "z")) || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9"))
        || $0 == UInt8(ascii: "-")
    }
    guard allowed, (1...40).contains(name.utf8.count) else {
      throw CLIError.usage(
        "a plugin's name has 1 to 40 of a-z, 0-9 and -: \(name.quotedForMessage) cannot be one")
    }
  }

  /// Writes the files. Those that are there already are written over with `force`, and without it refused before
  /// anything is written; others in the directory stay.
  ///
  /// - Returns: the names of the files, in the plugin's directory.
  func write(force: Bool) throws -> [String] {
    var files: [(name: String, bytes: [UInt8], isExecutable: Bool)] = []
    let manifest = fill(try text("\(shared.templates)/plugin.yaml"))
    files.append(("plugin.yaml", Array(manifest.utf8), false))
    for part in language.parts(kind) {
      switch part.origin {
      case .template(let path):
        let filled = fill(try text("\(shared.templates)/\(path)"))
        files.append((part.name, Array(filled.utf8), part.isExecutable))
      case .kit(let path):
        for (below, bytes) in try tree("\(shared.kits)/\(path)") {
          files.append((part.name + below, bytes, false))
        }
      }
    }
    files.append(("README.md", Array(fill(try text("\(shared.templates)/README.md")).utf8), false))
    if !force, let taken = files.first(where: { FilePath.kind("\(directory)/\($0.name)") != nil }) {
      throw CLIError(
        .failed, class: "exists",
        "\(directory)/\(taken.name) is there already; choose another name or directory, or write over it with --force")
    }
    for file in files { try write(file.bytes, to: file.name, isExecutable: file.isExecutable) }
    return files.map(\.name)
  }

  /// The command that tries the plugin, and the one that sends a job to a worker.
  var trial: (run: String, submit: String) {
    let run = "stoker plugins run \(directory) \(kind.cliName) "
    let submit = "stoker submit \(kind.cliName) --model \(name) "
    switch kind {
    case .llm: return (run + "--prompt 'hello there'", submit + "--prompt 'hello there' --stream")
    case .audioSTT: return (run + "--file recording.wav", submit + "--file recording.wav --wait")
    case .audioTTS: return (run + "--text 'good morning' -o speech.wav", submit + "--text 'good morning' -o speech.wav")
    case .image: return (run + "--prompt 'a lighthouse' -o image.png", submit + "--prompt 'a lighthouse' -o image.png")
    case .video: return (run + "--prompt 'waves' -o video.gif", submit + "--prompt 'waves' -o video.gif")
    }
  }

  private func fill(_ text: String) -> String {
    let build = language.isCompiled ? "\n```sh\nmake -C \(directory)\n```\n" : ""
    let values = [
      "__NAME__": name, "__KIND__": kind.rawValue, "__COMMAND__": language.command, "__LANGUAGE__": language.title,
      "__SUMMARY__": "A template of the kind \(kind.rawValue) in \(language.title)", "__NEEDS__": language.needs,
      "__FILES__": language.files, "__BUILD__": build, "__DIRECTORY__": directory, "__RUN__": trial.run,
      "__SUBMIT__": trial.submit,
    ]
    var out = ""
    var rest = text[...]
    while let start = rest.firstRange(of: "__") {
      out += rest[..<start.lowerBound]
      rest = rest[start.lowerBound...]
      if let value = values.first(where: { rest.hasPrefix($0.key) }) {
        out += value.value
        rest = rest.dropFirst(value.key.count)
      } else {
        out += "__"
        rest = rest.dropFirst(2)
      }
    }
    return out + rest
  }

  private func text(_ path: String) throws -> String {
    String(decoding: try SafeFile.read(path, maxBytes: PluginScaffold.fileBytes).bytes, as: UTF8.self)
  }

  /// A file, or all files of a directory by their paths below it, which begin with a slash; links are followed.
  private func tree(_ path: String) throws -> [(below: String, bytes: [UInt8])] {
    guard case .success(let resolved) = FilePath.resolve(path), let kind = FilePath.kind(resolved) else {
      throw CLIError(.failed, class: "installation", "\(path) is missing; install Stoker again with `make install`")
    }
    guard kind == .directory else {
      return [("", try SafeFile.read(resolved, maxBytes: PluginScaffold.fileBytes).bytes)]
    }
    var files: [(below: String, bytes: [UInt8])] = []
    for name in FileTree.names(in: resolved).sorted() where !name.hasPrefix(".") {
      for file in try tree("\(resolved)/\(name)") { files.append(("/\(name)" + file.below, file.bytes)) }
    }
    return files
  }

  private func write(_ bytes: [UInt8], to name: String, isExecutable: Bool) throws {
    let path = "\(directory)/\(name)"
    try makeDirectory(FilePath.parent(path))
    // Not through a link, and the old file's place is taken at once.
    let staged = path + ".new"
    let descriptor = open(staged, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, isExecutable ? 0o755 : 0o644)
    guard descriptor >= 0 else { throw failure(path) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else {
        let error = failure(path)
        close(descriptor)
        unlink(staged)
        throw error
      }
      rest = rest.dropFirst(count)
    }
    guard close(descriptor) == 0, rename(staged, path) == 0 else { throw failure(path) }
  }

  private func makeDirectory(_ path: String) throws {
    guard FilePath.kind(path) != .directory else { return }
    let parent = FilePath.parent(path)
    if parent != path, parent != "." { try makeDirectory(parent) }
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw failure(path) }
  }

  private func failure(_ path: String) -> CLIError {
    .failed("cannot write \(path): \(String(cString: strerror(errno)))")
  }
}
