/// What is to be done about one plugin when the directories have been looked at. A decision without effects.
package enum PluginChange: Sendable, Equatable {
  /// What the fleet knows of the plugin.
  package struct Known: Sendable, Equatable {
    /// What was found the last time; nil for a plugin that was not there.
    package var entry: CatalogEntry?
    /// Whether a version of it takes jobs.
    package var isServing = false
    /// Whether a process of that version has become ready in this life of the worker.
    package var hasStarted = false
    /// Fingerprint of the version that takes jobs.
    package var serving: String?
    /// What the directory was like when its version was turned down; nil when none was.
    package var turnedDown: TreeStamp?
    /// What it was like at the last look, when it was not taken up then.
    package var unsettled: TreeStamp?

    package init() {}
  }

  /// Goes on as it is.
  case none
  /// Is still being written: to be looked at again in a moment.
  case wait
  /// Goes into service.
  case serve
  /// What serves lies there again.
  case back
  /// Is started on trial beside the version that serves.
  case prove
  /// Cannot be used; the version that serves goes on.
  case turnDown(String)
  /// Cannot be used, and nothing else is there.
  case off(String)

  /// - Parameters:
  ///   - entry: what was found.
  ///   - stamp: what the directory is like.
  ///   - objection: why it may not serve although it could: it is switched off, or quarantined. nil for none.
  ///   - isOperators: whether that is the operator's wish, which an earlier version obeys too.
  ///   - hasTwin: whether another directory has a plugin of that name: then neither may serve.
  ///   - isWhole: whether it need not be waited for: the worker starts, or whoever put it there says so.
  package static func decide(
    _ known: Known, found entry: CatalogEntry, stamp: TreeStamp, objection: String? = nil, isOperators: Bool = false,
    hasTwin: Bool = false, isWhole: Bool = false
  ) -> PluginChange {
    let isSame = known.entry == entry
    if isSame {
      // Corrected in a file that the manifest does not name.
      guard let turnedDown = known.turnedDown, turnedDown != stamp else { return .none }
    }
    // A directory that is being copied changes from look to look.
    guard isWhole || known.unsettled == stamp else { return .wait }
    if let plugin = entry.plugin {
      if let objection {
        return isOperators || !known.isServing ? .off(objection) : .turnDown(objection)
      }
      if known.isServing, known.serving == plugin.fingerprint { return .back }
      return known.isServing && known.hasStarted ? .prove : .serve
    }
    guard case .disabled(let reasons) = entry.state else { return .none }
    let text = reasons.map(\.description).joined(separator: "; ")
    return known.isServing && known.hasStarted && !hasTwin ? .turnDown(text) : .off(text)
  }
}
