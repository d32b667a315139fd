import Host

/// The values of `--format`, by kind.
enum TaskFormats {
  /// Those that a kind knows; none for a kind without formats. For `stt` they say how the transcript is written, for the
  /// others what the engine makes.
  static func known(_ kind: JobKind) -> [String] {
    switch kind {
    case .llm: []
    case .audioSTT: TranscriptFormat.allCases.map(\.rawValue)
    case .audioTTS: ["wav", "mp3", "ogg", "opus", "flac"]
    case .image: ["png", "jpg", "jpeg", "webp"]
    case .video: ["mp4", "webm", "gif", "webp"]
    }
  }

  /// The format in the spelling of the task.
  static func checked(_ format: String, _ kind: JobKind) throws -> String {
    let name = format.lowercased()
    guard known(kind).contains(name) else {
      throw CLIError.usage(
        "--format \(format.quotedForMessage) is not one of \(kind.cliName), which knows "
          + known(kind).joined(separator: ", "))
    }
    return name
  }

  /// The format that an output's name asks for by its ending; nil when it has none, or means text by any other name.
  static func adopted(fromOutput path: String, _ kind: JobKind) throws -> String? {
    let parts = FilePath.name(path).split(separator: ".", omittingEmptySubsequences: false)
    guard !known(kind).isEmpty, parts.count > 1, let ending = parts.last?.lowercased(),
      (1...8).contains(ending.utf8.count)
    else { return nil }
    if known(kind).contains(ending) { return ending }
    guard kind != .audioSTT else { return nil }
    throw CLIError.usage(
      "-o \(path.quotedForMessage): \(kind.cliName) makes \(known(kind).joined(separator: ", ")); end the name with one "
        + "of them, or give --format")
  }
}
