import PluginProtocol

/// What the host said in a recorded conversation, what it had heard before, and what was answered: to say it again.
package struct TraceScript: Sendable {
  /// One message of the host.
  struct Step: Sendable {
    var frame: JSONValue
    /// Requests that had been answered before.
    var answered: Set<Int64> = []
    /// Chunks of each job that had come before.
    var chunks: [String: Int] = [:]
    /// Time since the record before.
    var pause: Duration
  }

  /// The plugin's name.
  package let plugin: String
  let steps: [Step]
  /// The engine's messages, in order.
  let heard: [JSONValue]
  /// Texts were shortened when it was recorded: the engine gets other ones than it got then.
  package let isCut: Bool
  /// The file ends with a record that says so, or records are missing.
  package let isIncomplete: Bool

  /// - Throws: `SourceDiagnostic` naming the line.
  package init(_ bytes: [UInt8], file: String) throws {
    let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: true)
    guard let head = lines.first.flatMap({ try? JSONValue(parsing: $0) }), head["trace"]?.int == 1 else {
      throw SourceDiagnostic(
        .error, file: file, line: 1, column: 1,
        message: "this is no trace of an engine's wire; \(WireTrace.directoryVariable) makes one")
    }
    plugin = head["plugin"]?.string ?? ""
    var steps: [Step] = []
    var heard: [JSONValue] = []
    var answered: Set<Int64> = []
    var chunks: [String: Int] = [:]
    var last: Int64 = 0
    var (isCut, isIncomplete) = (false, false)
    for (index, line) in lines.enumerated().dropFirst() {
      let record: TraceRecord
      do {
        guard let read = try TraceRecord(try JSONValue(parsing: line)) else { continue }
        record = read
      } catch {
        // A full disk cuts the last line.
        isIncomplete = index + 1 == lines.count
        if isIncomplete { break }
        throw SourceDiagnostic(
          .error, file: file, line: index + 1, column: 1, message: "no record of a trace: \(error)")
      }
      isIncomplete = isIncomplete || record.dropped > 0 || record.event == "full"
      defer { last = record.microseconds }
      guard let frame = record.frame else { continue }
      if record.direction == .toEngine {
        isCut = isCut || record.isCut
        steps.append(
          Step(
            frame: frame, answered: answered, chunks: chunks, pause: .microseconds(max(0, record.microseconds - last))))
      } else if record.direction == .fromEngine {
        heard.append(frame)
        if let id = frame["id"]?.int, frame["method"] == nil { answered.insert(id) }
        if frame["method"]?.string == Method.jobChunk, let job = frame["params"]?["jobId"]?.string {
          chunks[job, default: 0] += 1
        }
      }
    }
    self.steps = steps
    self.heard = heard
    self.isCut = isCut
    self.isIncomplete = isIncomplete
  }
}
