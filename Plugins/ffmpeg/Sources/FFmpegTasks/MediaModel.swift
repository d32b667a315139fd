import PluginProtocol

/// What this plugin can be asked for, by the model's id.
package enum MediaModel: String, CaseIterable, Sendable {
  case kenBurns = "ffmpeg:kenburns"
  case title = "ffmpeg:title"
  case slideshow = "ffmpeg:slideshow"
  case transcode = "ffmpeg:transcode"
  case waveform = "ffmpeg:waveform"

  /// Throws `unsupported` when the kind or the id is not served here.
  package init(kind: String, id: String?) throws {
    guard kind == "video" else {
      throw EngineError(.unsupported, "the ffmpeg engine serves only the kind video, not \"\(kind.prefix(64))\"")
    }
    let names = Self.allCases.map(\.rawValue).joined(separator: ", ")
    guard let id else { throw EngineError(.unsupported, "name a model: \(names)") }
    guard let model = Self(rawValue: id) else {
      throw EngineError(.unsupported, "the ffmpeg engine has no model \"\(id.prefix(128))\"; it has \(names)")
    }
    self = model
  }
}
