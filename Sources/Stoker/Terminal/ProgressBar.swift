import Host
import Synchronization

/// One line of progress, as text.
struct ProgressBar: Equatable, Sendable {
  var label: String
  /// 0…1; nil when nobody knows.
  var fraction: Double?
  var detail = ""

  /// The line for a terminal of that many columns: `label  ━━━━────  42 %  detail`.
  func text(columns: Int) -> String {
    var line = TerminalText.sanitise(label, keepsLines: false)
    if let fraction, fraction.isFinite {
      let share = min(max(fraction, 0), 1)
      let cells = 24
      let full = Int((share * Double(cells)).rounded(.down))
      line += "  " + String(repeating: "━", count: full) + String(repeating: "─", count: cells - full)
      line += TerminalText.pad(" \(Int(share * 100)) %", to: 6, right: true)
    }
    if !detail.isEmpty { line += "  " + TerminalText.sanitise(detail, keepsLines: false) }
    return TerminalText.cut(line, to: max(1, columns - 1))
  }
}

/// The last line of a terminal, redrawn in place. Does nothing where stderr is no terminal.
final class ProgressLine: Sendable {
  private let console: Console
  private let isActive: Bool
  private let shown = Mutex(false)

  init(_ console: Console, isQuiet: Bool) {
    self.console = console
    isActive = console.isErrorTerminal && !isQuiet
  }

  func show(_ bar: ProgressBar) {
    guard isActive else { return }
    shown.withLock { $0 = true }
    console.writeError("\r\u{1B}[K" + bar.text(columns: console.width ?? 80))
  }

  /// Takes the line away, so that something else can be printed.
  func clear() {
    guard isActive,
      shown.withLock({ shown in
        defer { shown = false }; return shown
      })
    else { return }
    console.writeError("\r\u{1B}[K")
  }
}

/// How fast a download goes, and how long it will take.
struct DownloadMeter: Sendable {
  private var last: (bytes: Int64, at: ContinuousClock.Instant)?
  /// Bytes a second, smoothed.
  private(set) var rate: Double?

  /// Takes the count of bytes at a moment; a smaller one than before starts anew.
  mutating func update(bytes: Int64, at now: ContinuousClock.Instant) {
    guard let last, bytes >= last.bytes else {
      self.last = (bytes, now)
      rate = nil
      return
    }
    let seconds = (now - last.at) / .seconds(1)
    guard seconds >= 0.2 else { return }
    let current = Double(bytes - last.bytes) / seconds
    rate = rate.map { $0 * 0.7 + current * 0.3 } ?? current
    self.last = (bytes, now)
  }

  /// `12.0 MiB of 97.6 MiB  8.1 MiB/s  11 s left`.
  func text(bytes: Int64, total: Int64?) -> String {
    var text = Human.bytes(bytes) + (total.map { " of \(Human.bytes($0))" } ?? "")
    guard let rate, rate >= 1 else { return text }
    text += "  \(Human.bytes(Int64(rate)))/s"
    if let total, total > bytes {
      let left = Double(total - bytes) / rate
      if left < 86_400 { text += "  \(Human.duration(milliseconds: Int64(left.rounded(.up)) * 1000)) left" }
    }
    return text
  }
}

extension ProgressBar {
  /// What a pull of a model shows.
  init(_ progress: PullProgress, meter: DownloadMeter) {
    let fraction = progress.total.flatMap { $0 > 0 ? Double(progress.bytes) / Double($0) : nil }
    let label = "\(progress.modelID) \(progress.filename)"
    switch progress.stage {
    case .waiting: self.init(label: label, fraction: nil, detail: "another process is pulling it; waiting")
    case .checking: self.init(label: label, fraction: fraction, detail: "checking")
    case .extracting: self.init(label: label, fraction: fraction, detail: "unpacking")
    case .joining: self.init(label: label, fraction: fraction, detail: "putting parts together")
    case .converting: self.init(label: label, fraction: fraction, detail: "converting")
    case .ready: self.init(label: label, fraction: 1, detail: "ready")
    case .downloading:
      self.init(label: label, fraction: fraction, detail: meter.text(bytes: progress.bytes, total: progress.total))
    }
  }
}
