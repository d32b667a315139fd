import Glibc
import PluginProtocol
import Synchronization

/// Mirrors the wire of engine processes into files, one a process, when `STOKER_TRACE_DIR` names a directory.
package struct WireTrace: Sendable {
  package static let directoryVariable = "STOKER_TRACE_DIR"
  package static let fullVariable = "STOKER_TRACE_FULL"
  /// Longest file, in bytes; a trace that has become so long ends with a record that says so.
  package static let fileBytes = 64 << 20
  /// Version of the format.
  package static let version = 1

  let directory: String
  let redaction: TraceRedaction
  let hostVersion: String
  let clock: any HostClock
  /// Told once for a trace that cannot be written.
  let report: @Sendable (String) -> Void
  private static let counter = Atomic<Int>(0)

  /// Nil when no trace is wanted.
  package init?(
    environment: [String: String], hostVersion: String, clock: any HostClock,
    report: @escaping @Sendable (String) -> Void
  ) {
    guard let directory = environment[WireTrace.directoryVariable], !directory.isEmpty else { return nil }
    self.directory = directory
    redaction = TraceRedaction(keepsTexts: environment[WireTrace.fullVariable] == "1")
    self.hostVersion = hostVersion
    self.clock = clock
    self.report = report
  }

  /// An observer that writes the trace of one process of the plugin; nil, and told, when there can be none.
  package func observer(_ plugin: Plugin) -> (any WireObserver)? {
    let number = WireTrace.counter.add(1, ordering: .relaxed).newValue
    let started = Timestamp.text(milliseconds: Timestamp.now())
    let stamp = started.filter { $0.isASCII && ($0.isNumber || $0 == "T") }.prefix(15)
    let path = FilePath.join(directory, "\(plugin.name)-\(stamp)-\(getpid())-\(number).jsonl")
    if mkdir(directory, 0o700) != 0, errno != EEXIST {
      report("no trace: cannot make \(directory): \(errorText(errno))")
      return nil
    }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      report("no trace: cannot write \(path): \(errorText(errno))")
      return nil
    }
    let head: JSONValue = [
      "trace": JSONValue(WireTrace.version), "plugin": .string(plugin.name),
      "version": .string(plugin.manifest.version),
      "command": JSONValue(plugin.manifest.command), "host": .string(hostVersion), "startedAt": .string(started),
      "full": .bool(redaction.keepsTexts),
    ]
    let file = TraceFile(descriptor: descriptor, path: path, head: head, redaction: redaction, report: report)
    guard let recorder = WireRecorder(clock: clock, take: { file.take($0) }) else {
      report("no trace: no thread or descriptor is left for \(path)")
      file.take(nil)
      return nil
    }
    return recorder
  }
}

/// The file of one trace, in the hands of its recorder's thread.
private final class TraceFile: Sendable {
  private struct State {
    var descriptor: Int32
    var written = 0
    var head: JSONValue?
  }

  private let state: Mutex<State>
  private let path: String
  private let redaction: TraceRedaction
  private let report: @Sendable (String) -> Void

  init(
    descriptor: Int32, path: String, head: JSONValue, redaction: TraceRedaction,
    report: @escaping @Sendable (String) -> Void
  ) {
    state = Mutex(State(descriptor: descriptor, head: head))
    self.path = path
    self.redaction = redaction
    self.report = report
  }

  /// Writes a record, or ends the file. False when nothing more can be written.
  @discardableResult
  func take(_ record: WireRecorder.Record?) -> Bool {
    // One thread comes here: the lock is for the compiler.
    state.withLock { state in
      if let head = state.head.take(), !write(head, &state) { return false }
      guard let record else {
        close(&state)
        return false
      }
      let line = TraceRecord(record, redaction: redaction).json
      if write(line, &state) { return true }
      return false
    }
  }

  private func write(_ line: JSONValue, _ state: inout State) -> Bool {
    guard state.descriptor >= 0 else { return false }
    var bytes = Array(line.text.utf8) + [0x0A]
    let isFull = state.written + bytes.count > WireTrace.fileBytes
    if isFull {
      let mark: JSONValue = ["direction": "process", "event": "full", "bytes": JSONValue(WireTrace.fileBytes)]
      bytes = Array(mark.text.utf8) + [0x0A]
      report("the trace \(path) has reached its limit of \(WireTrace.fileBytes >> 20) MiB, and ends there")
    }
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { Glibc.write(state.descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        offset += count
      } else if errno != EINTR {
        report("the trace \(path) ends here: \(errorText(errno))")
        close(&state)
        return false
      }
    }
    state.written += bytes.count
    if isFull { close(&state) }
    return !isFull
  }

  private func close(_ state: inout State) {
    guard state.descriptor >= 0 else { return }
    Glibc.close(state.descriptor)
    state.descriptor = -1
  }
}
