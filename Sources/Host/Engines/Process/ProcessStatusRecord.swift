/// What the monitor of an engine has to say, one record a line on the status pipe (the format is in launch's header).
package enum ProcessStatusRecord: Sendable, Equatable {
  /// What the monitor was doing when the engine could not be started.
  package enum Step: String, Sendable, Equatable {
    /// Making the process.
    case fork
    /// Giving it its group, descriptors, signals and restrictions.
    case process
    /// Applying resource limits.
    case limits
    /// Entering the working directory.
    case directory
    /// Confining it.
    case sandbox
    /// Finding the program to be the file whose digest was checked.
    case pin
    /// Executing the program.
    case exec
  }

  /// What the engine is held to, said before `started`.
  case sandbox(SandboxInForce)
  /// The engine has become more processes than this and is being ended.
  case exceededProcesses(limit: Int)
  /// The engine's program runs. `startTime` is in clock ticks since boot, as in field 22 of `/proc/PID/stat`; 0 is unknown.
  case started(pid: Int32, startTime: UInt64)
  /// The engine never ran.
  case failed(step: Step, errno: Int32)
  /// The engine left by itself. Resident memory is the highest it ever had.
  case exited(code: Int32, maxRSSBytes: UInt64)
  /// The engine was killed by a signal.
  case signaled(signal: Int32, coreDumped: Bool, maxRSSBytes: UInt64)
  /// The last record: how many descendants were removed and how many could not be.
  case swept(removed: Int, left: Int)
}

/// Turns bytes of the status pipe into records. Fed in pieces of any size.
package struct ProcessStatusParser: Sendable {
  /// A line that is not a record: host and launcher are not of the same version, or a stranger holds the pipe.
  package struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
    package let line: String

    package var description: String {
      "the launcher wrote \"\(line)\", which this host does not understand; install host and launcher of one version"
    }
  }

  /// Longest line kept; the longest record is far shorter.
  private static let lineLimit = 128
  private var line: [UInt8] = []

  package init() {}

  /// The records that `bytes` completes, in order. After an error the parser goes on with the next line.
  package mutating func append(_ bytes: some Sequence<UInt8>) throws(Malformed) -> [ProcessStatusRecord] {
    var records: [ProcessStatusRecord] = []
    var malformed: Malformed?
    for byte in bytes {
      guard byte == UInt8(ascii: "\n") else {
        if line.count < Self.lineLimit { line.append(byte) }
        continue
      }
      if let record = Self.record(line) {
        records.append(record)
      } else if malformed == nil {
        malformed = Malformed(line: String(decoding: line, as: UTF8.self))
      }
      line.removeAll(keepingCapacity: true)
    }
    if let malformed { throw malformed }
    return records
  }

  private static func record(_ line: [UInt8]) -> ProcessStatusRecord? {
    let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    switch (words.first, words.count) {
    case ("started", 3):
      guard let pid = Int32(words[1]), pid > 0, let startTime = UInt64(words[2]) else { return nil }
      return .started(pid: pid, startTime: startTime)
    case ("failed", 3):
      guard let step = ProcessStatusRecord.Step(rawValue: words[1]), let errno = Int32(words[2]) else { return nil }
      return .failed(step: step, errno: errno)
    case ("sandbox", 3):
      guard let version = Int(words[1]) else { return nil }
      let parts = words[2].split(separator: ",").map { SandboxInForce.Part(rawValue: String($0)) }
      guard !parts.contains(nil) else { return nil }
      return .sandbox(SandboxInForce(landlock: version, parts: parts.compactMap(\.self)))
    case ("exceeded", 3):
      guard words[1] == "processes", let limit = Int(words[2]) else { return nil }
      return .exceededProcesses(limit: limit)
    case ("exited", 3):
      guard let code = Int32(words[1]), let bytes = bytes(kibibytes: words[2]) else { return nil }
      return .exited(code: code, maxRSSBytes: bytes)
    case ("signaled", 4):
      guard let signal = Int32(words[1]), let core = Int32(words[2]), let bytes = bytes(kibibytes: words[3]) else {
        return nil
      }
      return .signaled(signal: signal, coreDumped: core == 1, maxRSSBytes: bytes)
    case ("swept", 3):
      guard let removed = Int(words[1]), let left = Int(words[2]) else { return nil }
      return .swept(removed: removed, left: left)
    default:
      return nil
    }
  }

  private static func bytes(kibibytes: String) -> UInt64? {
    guard let value = UInt64(kibibytes) else { return nil }
    let (bytes, overflow) = value.multipliedReportingOverflow(by: 1024)
    return overflow ? nil : bytes
  }
}
