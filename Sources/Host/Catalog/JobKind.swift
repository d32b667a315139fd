/// What a job produces from what. The raw values are the wire's.
package enum JobKind: String, CaseIterable, Sendable {
  case llm
  case audioSTT = "audio_stt"
  case audioTTS = "audio_tts"
  case image
  case video

  /// How the kind is called on the command line.
  package var cliName: String {
    switch self {
    case .llm: "llm"
    case .audioSTT: "stt"
    case .audioTTS: "tts"
    case .image: "image"
    case .video: "video"
    }
  }

  /// The kind of that name, as on the wire (`audio_stt`) or on the command line (`stt`).
  package init(named name: String) throws(UnknownJobKind) {
    guard let kind = JobKind.allCases.first(where: { $0.rawValue == name || $0.cliName == name }) else {
      throw UnknownJobKind(name: name)
    }
    self = kind
  }
}

/// A name that is not one of the five kinds.
package struct UnknownJobKind: Error, Sendable, Equatable, CustomStringConvertible {
  package let name: String

  /// Names the nearest kind, or else all of them.
  package var description: String {
    let candidates = JobKind.allCases.flatMap { $0.cliName == $0.rawValue ? [$0.rawValue] : [$0.cliName, $0.rawValue] }
    if let nearest = NearestName.find(name, among: candidates) {
      return "unknown kind \(name.quotedForMessage); did you mean '\(nearest)'?"
    }
    return
      "unknown kind \(name.quotedForMessage); use one of \(JobKind.allCases.map(\.cliName).joined(separator: ", "))"
  }
}
