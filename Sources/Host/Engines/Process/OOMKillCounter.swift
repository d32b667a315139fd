/// Counts the processes that the kernel has killed for memory on this machine since boot.
///
/// A count that has grown between an engine's start and its death by SIGKILL, which the host did not send, is evidence.
package enum OOMKillCounter {
  /// The current count, or `nil` when the kernel does not tell.
  package static func read() -> UInt64? {
    readSmallFile("/proc/vmstat", limit: 64 * 1024).flatMap(parse)
  }

  static func parse(_ vmstat: [UInt8]) -> UInt64? {
    let key = Array("oom_kill ".utf8)
    for line in vmstat.split(separator: UInt8(ascii: "\n")) where line.starts(with: key) {
      return UInt64(String(decoding: line.dropFirst(key.count), as: UTF8.self))
    }
    return nil
  }
}
