import CLinux
import Glibc

/// A pipe that no child process inherits by accident. Each end is closed once, by `close…` or at the end of life.
public final class TestPipe: @unchecked Sendable {
  public private(set) var readEnd: CInt
  public private(set) var writeEnd: CInt

  public init() {
    var ends: [CInt] = [-1, -1]
    let status = linux_pipe(&ends)
    precondition(status == 0, "no pipe: \(status)")
    readEnd = ends[0]
    writeEnd = ends[1]
  }

  /// Not while another thread uses that end.
  public func closeReadEnd() {
    if readEnd >= 0 { close(readEnd) }
    readEnd = -1
  }

  /// Not while another thread uses that end.
  public func closeWriteEnd() {
    if writeEnd >= 0 { close(writeEnd) }
    writeEnd = -1
  }

  deinit {
    closeReadEnd()
    closeWriteEnd()
  }
}
