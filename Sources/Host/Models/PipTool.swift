import Glibc

/// The pip of this machine.
struct PipTool: Sendable {
  var executable: String
  var arguments: [String]
  /// A Python that can unpack a wheel.
  var interpreter: String

  /// Finds `python3 -m pip`, then `pip3`, in `PATH`.
  static func find(_ environment: [String: String], cancel: CancelSignal) throws -> PipTool {
    let python = lookUp("python3", environment)
    if let python {
      let version = try ToolRunner.run(python, ["-m", "pip", "--version"], environment: environment, cancel: cancel)
      if version.succeeded { return PipTool(executable: python, arguments: ["-m", "pip"], interpreter: python) }
    }
    if let pip = lookUp("pip3", environment), let interpreter = python ?? interpreter(ofScript: pip) {
      return PipTool(executable: pip, arguments: [], interpreter: interpreter)
    }
    throw ModelError(
      .toolMissing,
      "pip is needed for this model and was not found; install it (Debian and Ubuntu: apt install python3-pip)")
  }

  static func lookUp(_ name: String, _ environment: [String: String]) -> String? {
    for directory in (environment["PATH"] ?? "").split(separator: ":") where directory.hasPrefix("/") {
      let path = "\(directory)/\(name)"
      if access(path, X_OK) == 0, case .file? = try? FileStamp.look(path, followLinks: true) { return path }
    }
    return nil
  }

  /// The interpreter named in a script's first line.
  private static func interpreter(ofScript path: String) -> String? {
    guard let bytes = SmallFile.read(path), bytes.starts(with: Array("#!/".utf8)) else { return nil }
    let line = String(
      decoding: bytes.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: " ") }, as: UTF8.self)
    return line.contains("python") && access(line, X_OK) == 0 ? line : nil
  }
}

extension ModelStoreSettings {
  /// What pip and Python see: the user's environment, but nothing of the host's own.
  var toolEnvironment: [String: String] { environment.filter { !$0.key.hasPrefix("STOKER_") } }
}
