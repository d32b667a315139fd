/// A version of a plugin that lies in its directory and is not in service.
package struct PluginTrial: Sendable {
  package enum State: Sendable, Equatable {
    /// It is being started, to see whether it does; the version before it serves.
    case proving
    /// It will not be used until it is corrected, for this reason.
    case turnedDown(String)
  }

  /// Tells trials apart.
  let number: Int
  /// Nil when not even its manifest can be read.
  package let plugin: Plugin?
  let directory: String
  package var state: State

  /// What is said to people of one that was turned down; nil while it is being started.
  ///
  /// - Parameter serving: the version that serves in its place.
  package func sentence(serving: String?) -> String? {
    guard case .turnedDown(let reason) = state else { return nil }
    let version = plugin.map { "version \($0.manifest.version) did not start" } ?? "the new version cannot be used"
    let other = serving.map { "version \($0) serves again" } ?? "nothing serves in its place"
    return "\(version): \(reason); \(other); correct it in \(directory)"
  }
}
