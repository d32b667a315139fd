import CStableDiffusion
import Glibc

/// How much main memory drawing may take.
enum AvailableMemory {
  /// Bytes, or nil when nobody knows, or a device does the work.
  ///
  /// - Parameter bound: what the host wants this process to stay under.
  static func bytes(bound: UInt64?) -> UInt64? {
    guard ssd_device() == nil else { return nil }
    var found = system()
    if let group = controlGroup() { found = min(found ?? group, group) }
    if let bound {
      let left = bound.subtractingReportingOverflow(resident()).partialValue
      found = min(found ?? left, left <= bound ? left : 0)
    }
    return found
  }

  /// What the kernel says could be taken without swapping.
  private static func system() -> UInt64? {
    for line in (text("/proc/meminfo") ?? "").split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 << 10 }
    }
    return nil
  }

  /// What a container's limit leaves. Cached files count as used there, so this can be too careful.
  private static func controlGroup() -> UInt64? {
    guard let limit = number("/sys/fs/cgroup/memory.max"), let used = number("/sys/fs/cgroup/memory.current") else {
      return nil
    }
    // Pages of files that the kernel gives up first.
    var inactive: UInt64 = 0
    let counts = (text("/sys/fs/cgroup/memory.stat") ?? "").split(separator: "\n")
    for line in counts where line.hasPrefix("inactive_file ") {
      inactive = line.split(separator: " ").last.flatMap { UInt64($0) } ?? 0
    }
    let held = used > inactive ? used - inactive : 0
    return limit > held ? limit - held : 0
  }

  private static func resident() -> UInt64 {
    let pages = text("/proc/self/statm")?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0
    return pages * UInt64(sysconf(CInt(_SC_PAGESIZE)))
  }

  /// The number in a file of one line; nil for "max".
  private static func number(_ path: String) -> UInt64? {
    text(path).flatMap { UInt64($0.prefix { $0.isNumber }) }
  }

  private static func text(_ path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    let count = fread(&buffer, 1, buffer.count, file)
    return String(decoding: buffer.prefix(count), as: UTF8.self)
  }
}
