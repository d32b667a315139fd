import CLinux
import Glibc

/// The five pipes between the host and an engine with its monitor, until the host's ends have an owner.
///
/// Whatever has not been taken is closed when the value goes away, on every way out.
struct EnginePipes: ~Copyable {
  /// The host's ends: non-blocking, close-on-exec.
  struct HostEnds: Sendable {
    /// Written: the engine's standard input.
    let stdin: Int32
    /// Read: the engine's standard output.
    let stdout: Int32
    /// Read: the engine's standard error.
    let stderr: Int32
    /// Read: the monitor's records.
    let status: Int32
    /// Written: commands to the monitor; closing it ends everything.
    let control: Int32
  }

  /// Pipes in the order of the descriptors that the monitor expects, and whether the child reads them.
  private static let childReads = [true, false, false, false, true]

  private var host: [Int32] = []
  private var child: [Int32] = []

  init() throws(SpawnError) {
    for reads in Self.childReads {
      var ends: [Int32] = [-1, -1]
      let result = linux_pipe(&ends)
      guard result >= 0 else { throw .host(operation: "making a pipe", errno: -result) }
      child.append(reads ? ends[0] : ends[1])
      host.append(reads ? ends[1] : ends[0])
    }
    for end in host { _ = linux_set_nonblocking(end, 1) }
  }

  deinit {
    for end in host + child { close(end) }
  }

  /// Descriptors 0 to 4 of the monitor.
  var childEnds: [Int32] { child }

  /// Hands the host's ends to the caller, who closes them from now on.
  mutating func takeHostEnds() -> HostEnds {
    let ends = HostEnds(stdin: host[0], stdout: host[1], stderr: host[2], status: host[3], control: host[4])
    host = []
    return ends
  }
}
