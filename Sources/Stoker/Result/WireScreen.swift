import Host
import PluginProtocol
import Synchronization

/// Shows the wire of the engines of one worker as it happens.
final class WireScreen: Sendable {
  private let console: Console
  private let isJSON: Bool
  private let isFull: Bool
  private let recorders = Mutex<[WireRecorder]>([])

  /// Columns of a line where there is no terminal to ask.
  private static let columns = 160

  /// - Parameter isFull: lines are not cut, and with JSON no texts are.
  init(console: Console, isJSON: Bool, isFull: Bool) {
    self.console = console
    self.isJSON = isJSON
    self.isFull = isFull
  }

  /// One that sees the wire of one process. What comes after `finish` is not shown.
  func observer() -> (any WireObserver)? {
    let recorder = WireRecorder(clock: SystemHostClock()) { [self] record in
      guard let record else { return false }
      do {
        if isJSON {
          try console.jsonLine(TraceRecord(record, redaction: TraceRedaction(keepsTexts: isFull)).json)
        } else {
          if record.dropped > 0 { try console.line("(\(record.dropped) lines came too fast to be shown)") }
          try console.line(line(record))
        }
        return true
      } catch {
        return false
      }
    }
    if let recorder { recorders.withLock { $0.append(recorder) } }
    return recorder
  }

  /// Shows what has been seen, and nothing from then on.
  func finish() async {
    for recorder in recorders.withLock({ $0 }) {
      await withCheckedContinuation { continuation in recorder.end { continuation.resume() } }
    }
  }

  /// `   0.012 -> {...}`: seconds since the process was started, who speaks, and what.
  func line(_ record: WireRecorder.Record) -> String {
    let (mark, text, colour): (String, String, Console.Colour?) =
      switch record.event {
      case .toEngine(let bytes): ("->", String(decoding: bytes, as: UTF8.self), .cyan)
      case .fromEngine(let bytes): ("<-", String(decoding: bytes, as: UTF8.self), .green)
      case .overlong(let length, let prefix):
        ("<-", "\(String(decoding: prefix, as: UTF8.self))… [\(length) bytes, over the cap]", .red)
      case .stderr(let text): ("!!", text, .yellow)
      case .process(let event, let text): ("--", "\(event): \(text)", .dim)
      }
    let milliseconds = max(0, record.at / .milliseconds(1))
    let whole = Int(milliseconds)
    let time = TerminalText.pad("\(whole / 1000).\(String(1000 + whole % 1000).dropFirst())", to: 8, right: true)
    let clean = TerminalText.sanitise(text, keepsLines: false)
    let room = (console.width ?? WireScreen.columns) - 12
    let shown = isFull || TerminalText.width(clean) <= room ? clean : TerminalText.cut(clean, to: max(20, room))
    return "\(console.paint(time, .dim)) \(console.paint(mark, colour)) \(shown)"
  }
}
