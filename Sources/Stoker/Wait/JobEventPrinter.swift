import PluginProtocol
import Synchronization

/// Shows the events of one job while it is waited for.
final class JobEventPrinter: Sendable {
  /// What is printed.
  enum Mode: Equatable, Sendable {
    /// Nothing but progress, where there is a terminal for it.
    case quietly
    /// Text as it comes.
    case text
    /// Every event as a line of JSON.
    case jsonLines
  }

  private struct State {
    /// Text has been printed for the current attempt.
    var printed = false
    var endsLine = true
  }

  private let console: Console
  private let mode: Mode
  private let progress: ProgressLine
  private let state = Mutex(State())

  init(console: Console, mode: Mode, isQuiet: Bool) {
    self.console = console
    self.mode = mode
    progress = ProgressLine(console, isQuiet: isQuiet)
  }

  /// The text of a chunk: a piece of a longer text as it is, a segment of a transcript as a line of its own.
  private static func text(of chunk: JSONValue) -> String? {
    if let text = chunk["text"]?.string { return text }
    guard let segment = chunk["data"]?["text"]?.string else { return nil }
    return segment.drop { $0 == " " } + "\n"
  }

  /// Takes one event of `jobs/watch`.
  func take(_ event: JSONValue) throws {
    if mode == .jsonLines { return try console.jsonLine(event) }
    switch event["type"]?.string {
    case "chunk":
      guard mode == .text, let text = JobEventPrinter.text(of: event), !text.isEmpty else { return }
      progress.clear()
      try console.write(console.shown(text))
      state.withLock { state in
        state.printed = true
        state.endsLine = text.hasSuffix("\n")
      }
    case "restart":
      try endText()
      let attempt = event["attempt"]?.int ?? 0
      console.note("stoker: the engine was lost; attempt \(attempt) starts anew")
      state.withLock { $0.printed = false }
    case "note":
      guard let text = event["text"]?.string else { return }
      // A note in the middle of a line of streamed text would tear it.
      guard state.withLock({ $0.endsLine }) else { return }
      progress.clear()
      console.note("stoker: \(text)")
    default:
      guard !state.withLock({ $0.printed }) else { return }
      if let bar = ProgressBar(event: event) { progress.show(bar) }
    }
  }

  /// Ends the line of streamed text; true when any text was printed.
  @discardableResult
  func endText() throws -> Bool {
    progress.clear()
    let (printed, endsLine) = state.withLock { state in
      defer { state.endsLine = true }
      return (state.printed, state.endsLine)
    }
    if !endsLine { try console.write("\n") }
    return printed
  }
}

extension ProgressBar {
  /// What an event of a job shows; nil when it says nothing of progress.
  init?(event: JSONValue) {
    if let loading = event["loading"] {
      let fraction = loading["fraction"]?.double
      self.init(label: "loading \(loading["model"]?.string ?? "the model")", fraction: fraction)
      return
    }
    if let progress = event["progress"] {
      let step = progress["step"]?.int
      let steps = progress["steps"]?.int
      var fraction = progress["fraction"]?.double
      if fraction == nil, let step, let steps, steps > 0 { fraction = Double(step) / Double(steps) }
      let counted = step.flatMap { step in steps.map { "\(step)/\($0)" } }
      let detail = [counted, progress["message"]?.string].compactMap(\.self).joined(separator: "  ")
      self.init(label: progress["stage"]?.string ?? "running", fraction: fraction, detail: detail)
      return
    }
    guard let state = event["state"]?.string else { return nil }
    self.init(label: state, fraction: nil, detail: event["message"]?.string ?? "")
  }
}
