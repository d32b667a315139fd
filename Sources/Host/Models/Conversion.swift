import FoundationEssentials
import Glibc

/// Runs a conversion tool: files in, one file out.
struct Conversion {
  let tool: ConversionTool
  /// By the name that the tool looks for; absolute paths.
  let inputs: [(name: String, path: String)]
  /// The model's directory, in which the inputs are shown to the tool under their names for a while.
  let directory: String
  let settings: ModelStoreSettings
  let cancel: CancelSignal

  /// Writes what the tool makes into a part. A tool that writes nothing for the stall time has failed.
  func run(into part: PartFile, label: String, bytes: Int64?, progress: ProgressReporter) throws {
    let script = try ConversionTools(settings.environment).script(tool)
    guard let python = PipTool.lookUp("python3", settings.toolEnvironment) else {
      throw ModelError(
        .toolMissing,
        "python3 is needed to convert this model and was not found; install it (Debian and Ubuntu: apt install python3)"
      )
    }
    let staged = "\(directory)/\(WheelShelf.temporaryPrefix)\(UInt64.random(in: 0 ... .max))"
    guard mkdir(staged, 0o700) == 0 else { throw FileFault.error("make the directory", staged) }
    defer { try? FileManager.default.removeItem(atPath: staged) }
    for input in inputs {
      guard symlink(input.path, "\(staged)/\(input.name)") == 0 else {
        throw FileFault.error("link", "\(staged)/\(input.name)")
      }
    }
    try part.restart()
    progress.report(bytes: 0, total: bytes, stage: .converting)
    var lastMove = ContinuousClock.now
    let outcome = try ToolRunner.run(
      python, ["-I", script, staged, "-"], environment: settings.toolEnvironment, cancel: cancel,
      onOutput: { output in
        try settings.watchSpace(of: part, gaining: output.count, in: directory)
        try part.append(output)
        progress.report(bytes: part.count, total: bytes, stage: .converting)
      },
      onTick: { sawOutput in
        if sawOutput { lastMove = .now }
        guard .now - lastMove < settings.stallTimeout else {
          throw ModelError(
            .stalled, "the conversion to \(label) made no progress for \(settings.stallTimeout); try again")
        }
      })
    guard outcome.succeeded else {
      throw ModelError(
        .toolFailed, "\(label) could not be made by \(tool.script) (\(outcome.ending)): \(outcome.tail)")
    }
  }
}

/// Where the conversion tools are: in `STOKER_CONVERT`, else in `libexec/stoker/convert` of the installation.
struct ConversionTools {
  private let directory: String

  init(_ environment: [String: String]) {
    if let path = environment["STOKER_CONVERT"], !path.isEmpty {
      directory = path.hasPrefix("/") ? path : FileFault.workingDirectory + "/" + path
      return
    }
    // PREFIX/bin/stoker
    let program = FileFault.resolved("/proc/self/exe").split(separator: "/").dropLast(2)
    directory = "/" + (program + ["libexec", "stoker", "convert"]).joined(separator: "/")
  }

  /// - Throws: `ModelError` of kind `toolMissing`, with the place where the script should be.
  func script(_ tool: ConversionTool) throws(ModelError) -> String {
    let path = "\(directory)/\(tool.script)"
    guard case .file = try FileStamp.look(path, followLinks: true) else {
      throw ModelError(
        .toolMissing,
        "\(path) is needed to convert this model and does not exist; install stoker whole, or set STOKER_CONVERT to the "
          + "directory of \(tool.script) (Tools/models in the sources)")
    }
    return path
  }
}
