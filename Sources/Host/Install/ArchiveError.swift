import PluginProtocol

/// Why an archive is not unpacked: one sentence, without the archive's own name.
package struct ArchiveError: Error, Sendable, Equatable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }

  /// Something about one entry. Names come from the archive: they are cut and made visible.
  init(_ path: String, _ problem: String) {
    description = "entry \(ArchiveError.shown(path)) \(problem)"
  }

  /// A name from an archive, fit for a message.
  static func shown(_ path: String) -> String {
    let text = HostLog.neutralise(path)
    return text.utf8.count <= 120 ? "'\(text)'" : "'\(text.prefix(100))…'"
  }
}
