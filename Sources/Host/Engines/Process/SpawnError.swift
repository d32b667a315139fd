import Glibc

/// Why not even the monitor of an engine could be started. The engine's own failures are reported by the monitor.
package enum SpawnError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The specification cannot be carried out as it is written.
  case invalid(String)
  /// The `launch` program did not start.
  case launcher(path: String, errno: Int32)
  /// The host is out of something: descriptors, processes, memory.
  case host(operation: String, errno: Int32)

  package var description: String {
    switch self {
    case .invalid(let reason):
      "the engine cannot be started: \(reason)"
    case .launcher(let path, let errno):
      "the launcher \(path) cannot be started: \(errorText(errno)); reinstall Stoker or check the path of its launch program"
    case .host(let operation, let errno):
      "the host cannot start an engine: \(operation): \(errorText(errno))"
    }
  }
}

/// The C library's text for an error number.
func errorText(_ number: Int32) -> String {
  strerror(number).map { String(cString: $0) } ?? "error \(number)"
}
