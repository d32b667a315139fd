import Glibc
import PluginProtocol
import Synchronization

/// A plugin's history on disk: one JSON object a line, appended, and written anew when it has grown.
///
/// The file is for people and is never needed: what cannot be written is said once and given up, what cannot be read is
/// left out. Nothing is forced to the disk. Only its owner may read it: evidence of a crash is in it.
package final class PluginHistoryFile: Sendable {
  /// What a former life has left.
  package struct Kept: Sendable {
    package var events: [PluginRecord.Event]
    package var counters: PluginRecord.Counters
  }

  /// Lines and bytes at which the file is written anew with what is still kept.
  static let longest = (lines: 2 * PluginRecord.historyKept, bytes: 1 << 20)
  /// Bytes that are read at most: a file that is larger is not ours, and is begun anew.
  static let readable = 4 << 20
  /// Files kept in a directory, of plugins that may be long gone.
  static let kept = 256

  private struct State {
    var lines = 0
    var bytes = 0
    var hasFailed = false
    /// Lines that are not written yet; one thread at a time writes, the others leave theirs to it.
    var queue: [[UInt8]] = []
    var isWriting = false
    /// What is kept as of the newest event.
    var history: [PluginRecord.Event] = []
    var counters = PluginRecord.Counters()
  }
  private let path: String
  private let problem: @Sendable (String) -> Void
  private let state: Mutex<State>

  /// - Parameter problem: told once when the file cannot be written.
  package init(path: String, problem: @escaping @Sendable (String) -> Void) {
    self.path = path
    self.problem = problem
    // Full from the start: the first event writes the file anew, without what was torn in it.
    state = Mutex(State(lines: PluginHistoryFile.longest.lines))
  }

  /// The file of a plugin in a directory, which is made when it is not there; nil for a name that could not be one.
  package static func open(
    _ name: String, in directory: String, problem: @escaping @Sendable (String) -> Void
  ) -> PluginHistoryFile? {
    let isName =
      !name.isEmpty && name.utf8.count <= 40
      && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
    guard isName else { return nil }
    mkdir(directory, 0o700)
    return PluginHistoryFile(path: FilePath.join(directory, name + ".jsonl"), problem: problem)
  }

  /// Removes the files that nobody has written to for longest, down to `kept`.
  package static func prune(_ directory: String) {
    let files = FileTree.names(in: directory).filter { $0.hasSuffix(".jsonl") }
    guard files.count > kept else { return }
    let dated = files.map { name -> (path: String, modified: Int) in
      var status = Glibc.stat()
      let path = FilePath.join(directory, name)
      return (path, lstat(path, &status) == 0 ? status.st_mtim.tv_sec : 0)
    }
    for file in dated.sorted(by: { $0.modified < $1.modified }).prefix(files.count - kept) { unlink(file.path) }
  }

  /// What is in the file. Lines that are torn or not understood are left out.
  package func load() -> Kept {
    var kept = Kept(events: [], counters: PluginRecord.Counters())
    guard let bytes = try? SafeFile.read(path, maxBytes: PluginHistoryFile.readable).bytes else { return kept }
    var numbers: Set<Int64> = []
    var newest: Int64 = 0
    for line in bytes.split(separator: 0x0A) {
      guard let json = try? JSONValue(parsing: Array(line)), let event = PluginRecord.Event(json: json),
        numbers.insert(event.number).inserted
      else { continue }
      kept.events.append(event)
      guard event.number > newest else { continue }
      newest = event.number
      if let totals = json["totals"] { kept.counters = PluginRecord.Counters(json: totals) }
    }
    // Of two events at one time the later one may have been written first.
    kept.events.sort { $0.number < $1.number }
    PluginRecord.trim(&kept.events)
    return kept
  }

  /// Adds an event.
  ///
  /// - Parameter history: all events that are kept, this one included: what the file is made of when it is written anew.
  func append(_ event: PluginRecord.Event, _ counters: PluginRecord.Counters, of history: [PluginRecord.Event]) {
    let line = PluginHistoryFile.line(event, counters)
    let mustWrite = state.withLock { state in
      if event.number > state.history.last?.number ?? 0 { (state.history, state.counters) = (history, counters) }
      // Behind a disk that stands still no more is kept than memory keeps anyway.
      if state.queue.count == PluginRecord.historyKept { state.queue.removeFirst() }
      state.queue.append(line)
      defer { state.isWriting = true }
      return !state.isWriting
    }
    guard mustWrite else { return }
    while let step = nextStep() {
      do {
        switch step {
        case .add(let lines): try add(lines)
        case .rewrite(let all): try SmallFile.write(all, to: path, mode: 0o600)
        }
      } catch {
        let isFirst = state.withLock { state in
          defer { state.hasFailed = true }
          return !state.hasFailed
        }
        if isFirst { problem("its history cannot be kept: \(error)") }
      }
    }
  }

  private enum Step {
    case add([UInt8])
    case rewrite([UInt8])
  }

  private func nextStep() -> Step? {
    let next: (lines: [UInt8], whole: (events: [PluginRecord.Event], PluginRecord.Counters)?)? = state.withLock {
      state in
      guard !state.queue.isEmpty else {
        state.isWriting = false
        return nil
      }
      let lines = state.queue.flatMap(\.self)
      state.lines += state.queue.count
      state.bytes += lines.count
      state.queue = []
      guard state.lines > PluginHistoryFile.longest.lines || state.bytes > PluginHistoryFile.longest.bytes else {
        return (lines, nil)
      }
      return (lines, (state.history, state.counters))
    }
    guard let next else { return nil }
    guard let (events, counters) = next.whole else { return .add(next.lines) }
    let all = events.flatMap { PluginHistoryFile.line($0, counters) }
    state.withLock { ($0.lines, $0.bytes) = (events.count, all.count) }
    return .rewrite(all)
  }

  private func add(_ line: [UInt8]) throws {
    let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard descriptor >= 0 else { throw FileFault.error("write", path) }
    defer { close(descriptor) }
    // A line that is written in part is torn: the reader leaves it out, and the next one begins a line of its own.
    guard line.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == line.count else {
      _ = write(descriptor, "\n", 1)
      throw FileFault.error("write", path)
    }
  }

  private static func line(_ event: PluginRecord.Event, _ counters: PluginRecord.Counters) -> [UInt8] {
    let json: JSONValue = .compact([
      "n": .int(event.number), "at": .int(event.at), "event": .string(event.what), "detail": .string(event.detail),
      "pid": JSONValue(event.pid), "evidence": event.evidence ?? .null, "totals": counters.json,
    ])
    return Array((json.text + "\n").utf8)
  }
}

extension PluginRecord.Event {
  init?(json: JSONValue) {
    guard let number = json["n"]?.int, let at = json["at"]?.int, let what = json["event"]?.string,
      let detail = json["detail"]?.string, number > 0
    else { return nil }
    self.init(
      number: number, at: at, what: what, detail: detail, pid: json["pid"]?.int.flatMap { Int32(exactly: $0) },
      evidence: json["evidence"])
  }
}

extension PluginRecord.Counters {
  /// As `plugins inspect` shows them.
  package var json: JSONValue {
    [
      "starts": JSONValue(starts), "crashes": JSONValue(crashes), "restarts": JSONValue(restarts),
      "noise": JSONValue(session.noise), "protocolErrors": JSONValue(session.protocolErrors),
      "unknownMessages": JSONValue(session.unknown), "lateMessages": JSONValue(session.late),
      "droppedProgress": JSONValue(session.droppedProgress), "droppedLogs": JSONValue(session.droppedLogs),
    ]
  }

  init(json: JSONValue) {
    // Bounded, so that sums of what a damaged file says stay in range.
    let number = { (name: String) in Int(min(max(0, json[name]?.int ?? 0), 1 << 48)) }
    self.init()
    starts = number("starts")
    crashes = number("crashes")
    restarts = number("restarts")
    session.noise = number("noise")
    session.protocolErrors = number("protocolErrors")
    session.unknown = number("unknownMessages")
    session.late = number("lateMessages")
    session.droppedProgress = number("droppedProgress")
    session.droppedLogs = number("droppedLogs")
  }
}
