import PluginProtocol

/// Says whose fault it is that a tool has failed.
package enum ToolFailure {
  /// How a tool's process has ended.
  package enum Ending: Equatable, Sendable {
    case exited(Int)
    case signalled(Int)
  }

  private static let lacks = [
    "Unknown encoder", "No such filter", "Unrecognized option", "Requested output format", "Unknown input format",
    "Unknown decoder",
  ]
  /// A command line that ffmpeg does not take is this program's fault, whatever the input.
  private static let misuse = ["cannot be used together", "Option not found", "Error parsing", "Unable to parse"]
  private static let noRoom = ["No space left on device", "Disk quota exceeded", "File too large"]
  private static let noMemory = ["Cannot allocate memory", "out of memory", "Out of memory", "bad_alloc"]
  private static let maximumReason = 300

  /// - Parameters:
  ///   - tool: `ffmpeg` or `ffprobe`.
  ///   - errors: the end of its stderr.
  ///   - paths: files and directories whose names are the machine's business; they do not go into the message.
  ///   - readsInput: true when a file of the caller was read: what fails then is most likely that file.
  package static func error(
    _ tool: String, _ ending: Ending, errors: String, paths: [String], readsInput: Bool
  ) -> EngineError {
    let evidence = "\(describe(ending)): \(errors)"
    func says(_ marks: [String]) -> Bool { marks.contains { errors.contains($0) } }
    let reason = reason(errors, paths)
    if says(noMemory) {
      return EngineError(.resource, "\(tool) ran out of the memory that memoryMiB allows", evidence: evidence)
    }
    if says(noRoom) {
      return EngineError(.resource, "\(tool) cannot write the result: \(reason)", evidence: evidence)
    }
    switch ending {
    case .signalled(9):
      return EngineError(.resource, "\(tool) was killed, most likely for want of memory", evidence: evidence)
    case .signalled(25):
      return EngineError(.resource, "\(tool) wrote more than maxOutputMiB allows", evidence: evidence)
    case .signalled:
      return EngineError(.engineFault, "\(tool) crashed (\(describe(ending)))", evidence: evidence)
    case .exited:
      if says(lacks) {
        return EngineError(
          .unsupported, "the installed \(tool) lacks what this job needs (\(reason)): install a complete one",
          evidence: evidence)
      }
      return readsInput && !says(misuse)
        ? EngineError(.badInput, "\(tool) cannot read the input: \(reason)", evidence: evidence)
        : EngineError(.engineFault, "\(tool) failed: \(reason)", evidence: evidence)
    }
  }

  private static func describe(_ ending: Ending) -> String {
    switch ending {
    case .exited(let status): "exit status \(status)"
    case .signalled(let number): "signal \(number)"
    }
  }

  /// The last line, as one line of plain characters.
  private static func reason(_ errors: String, _ paths: [String]) -> String {
    guard var line = errors.split(whereSeparator: \.isNewline).last.map(String.init) else {
      return "it does not say why"
    }
    for path in paths where !path.isEmpty {
      let pieces = line.split(separator: path, omittingEmptySubsequences: false)
      line = pieces.joined(separator: "…")
    }
    let plain = line.unicodeScalars.map { $0.value < 0x20 || 0x7F...0x9F ~= $0.value ? " " : Character($0) }
    return String(plain.prefix(maximumReason))
  }
}
