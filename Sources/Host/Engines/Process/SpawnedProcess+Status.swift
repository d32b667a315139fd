import Glibc

extension SpawnedProcess {
  /// What one look at the status pipe gave.
  package struct StatusRead: Sendable, Equatable {
    package var records: [ProcessStatusRecord] = []
    /// The monitor has closed the pipe: no record will follow.
    package var ended = false
  }

  /// Reads what the monitor has written so far, without blocking.
  package func readStatus(_ parser: inout ProcessStatusParser) throws(ProcessStatusParser.Malformed) -> StatusRead {
    var result = StatusRead()
    guard isOpen(.status) else { return StatusRead(ended: true) }
    var buffer = [UInt8](repeating: 0, count: 512)
    while true {
      let count = read(status, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN { return result }
      guard count > 0 else {
        result.ended = true
        return result
      }
      result.records += try parser.append(buffer[..<count])
    }
  }
}
