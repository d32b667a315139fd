import Glibc
import PluginProtocol
import Synchronization

/// How loud a record is.
package enum LogLevel: String, Sendable, CaseIterable, Comparable {
  case debug, info
  case warn = "warning"
  case error

  private var rank: Int { LogLevel.allCases.firstIndex(of: self) ?? 0 }
  package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rank < right.rank }
}

/// One record of the log.
package struct LogRecord: Sendable, Equatable {
  /// Wall time in milliseconds since 1970.
  package var at: Int64
  package var level: LogLevel
  /// `host`, `scheduler`, a plugin's name …
  package var source: String
  /// Neutralised: one line, no control characters, bounded.
  package var message: String
  package var job: String?

  /// As `stoker logs --json` shows it.
  package var json: JSONValue {
    .compact([
      "at": .string(Timestamp.text(milliseconds: at)), "level": .string(level.rawValue), "source": .string(source),
      "message": .string(message), "job": JSONValue(job),
    ])
  }

  /// As a line for people.
  package var text: String {
    let clock = Timestamp.text(milliseconds: at)
    let level = level.rawValue + String(repeating: " ", count: max(0, 7 - level.rawValue.count))
    return "\(clock) \(level) \(source): \(message)" + (job.map { " [job \($0)]" } ?? "")
  }
}

/// The host's log: to stderr, to a bounded memory for `stoker logs`, and to those who follow it.
///
/// Nothing that an engine says can forge a record: control characters and line breaks are made visible, length is cut.
package final class HostLog: Sendable {
  package enum Format: String, Sendable, CaseIterable {
    case text, json
  }
  /// Records kept for those who come later.
  static let kept = 2000
  /// Records that a slow follower may lag behind; then it loses the oldest.
  static let followerBuffer = 1000
  /// Longest message in bytes.
  static let messageBytes = 8192

  private struct State {
    var ring: [LogRecord] = []
    var followers: [Int: AsyncStream<LogRecord>.Continuation] = [:]
    var next = 0
  }
  private let state = Mutex(State())
  private let file: LogFile?
  private let format: Format
  private let threshold: LogLevel

  /// - Parameter output: a descriptor that lines are written to; nil writes none.
  package init(output: CInt? = STDERR_FILENO, format: Format = .text, threshold: LogLevel = .info) {
    file = output.map { LogFile($0) }
    self.format = format
    self.threshold = threshold
  }

  /// Writes one record.
  package func write(_ level: LogLevel, _ source: String, _ message: String, job: JobID? = nil) {
    write(level, source, message, jobText: job?.description)
  }

  /// Writes one record whose job is named by an engine.
  package func write(_ level: LogLevel, _ source: String, _ message: String, jobText: String?) {
    guard level >= threshold else { return }
    let record = LogRecord(
      at: Timestamp.now(), level: level, source: source, message: HostLog.neutralise(message),
      job: jobText.map { HostLog.neutralise(String($0.prefix(64))) })
    let followers = state.withLock { state in
      if state.ring.count >= HostLog.kept { state.ring.removeFirst(HostLog.kept / 10) }
      state.ring.append(record)
      return Array(state.followers.values)
    }
    for follower in followers { follower.yield(record) }
    guard let file else { return }
    // A log that cannot be written must not stop the work: what is lost here is still in memory, with a word about it.
    guard let notice = file.write((format == .json ? record.json.text : record.text) + "\n") else { return }
    write(notice.level, "host", notice.message)
  }

  /// The last `count` records, oldest first.
  package func recent(_ count: Int) -> [LogRecord] { state.withLock { Array($0.ring.suffix(max(0, count))) } }

  /// The last `count` records and then all new ones, until the task that iterates is cancelled.
  package func follow(_ count: Int) -> AsyncStream<LogRecord> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: LogRecord.self, bufferingPolicy: .bufferingNewest(HostLog.followerBuffer + max(0, count)))
    let id = state.withLock { state in
      for record in state.ring.suffix(max(0, count)) { continuation.yield(record) }
      state.next += 1
      state.followers[state.next] = continuation
      return state.next
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { $0.followers[id] = nil }
    }
    return stream
  }

  /// One line without control characters: they appear as `\n`, `\u{1b}` …
  package static func neutralise(_ text: String) -> String {
    let isClean = text.utf8.count <= messageBytes && !text.unicodeScalars.contains(where: isControl)
    if isClean { return text }
    var out = ""
    for scalar in text.unicodeScalars {
      guard out.utf8.count < messageBytes else { return out + " … [cut: \(text.utf8.count) bytes]" }
      if scalar == "\n" {
        out += "\\n"
      } else if scalar == "\t" {
        out += " "
      } else if isControl(scalar) {
        out += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0: true
    // Line and paragraph ends, and what turns the direction of writing.
    case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}

extension Timestamp {
  /// The wall clock, in milliseconds since 1970. For display only: never to measure with.
  package static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
