import Glibc

/// What the machine, or the container around the host, has for computing.
package struct MachineResources: Sendable, Equatable {
  /// Processors that the host may use, 1 or more.
  package var cpuThreads: Int
  /// Bytes of memory.
  package var memoryBytes: UInt64

  /// Looks at the affinity mask and the control group (v2) of this process.
  package static func read() -> MachineResources {
    var threads = max(1, Int(sysconf(CInt(_SC_NPROCESSORS_ONLN))))
    if let quota = text("/sys/fs/cgroup/cpu.max")?.split(separator: " "), quota.count == 2,
      let allowed = Double(quota[0]), let period = Double(quota[1].filter(\.isNumber)), period > 0
    {
      threads = min(threads, max(1, Int((allowed / period).rounded(.up))))
    }
    var memory = UInt64(max(0, sysconf(CInt(_SC_PHYS_PAGES)))) * UInt64(max(0, sysconf(CInt(_SC_PAGESIZE))))
    if let limit = text("/sys/fs/cgroup/memory.max").flatMap({ UInt64($0.filter(\.isNumber)) }) {
      memory = min(memory, limit)
    }
    return MachineResources(cpuThreads: threads, memoryBytes: memory)
  }

  private static func text(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }
}
