/// Main memory of the machine, as far as this process may use it.
package struct SystemMemory: Sendable, Equatable {
  /// What there is, or the least limit of a control group around this process.
  package var totalBytes: UInt64
  /// What can be taken now without swapping: free pages and those the kernel can take back, in the machine and in each
  /// control group (v2) around this process, whichever has least.
  package var availableBytes: UInt64
  /// The control group's directory when it, not the machine, is what bounds `availableBytes`.
  package var boundedBy: String?

  /// Measures now. Blocks for no longer than a few small files of the kernel take.
  ///
  /// - Returns: nil when the kernel does not tell.
  package static func read(proc: String = "/proc", cgroups: String = "/sys/fs/cgroup") -> SystemMemory? {
    guard let info = readSmallFile("\(proc)/meminfo").map(ProcessMemory.kibibytes), let total = info["MemTotal"],
      let available = info["MemAvailable"]
    else { return nil }
    var memory = SystemMemory(totalBytes: total, availableBytes: min(available, total), boundedBy: nil)
    for directory in groups(proc: proc, cgroups: cgroups) {
      guard let limit = limit(directory), let current = number("\(directory)/memory.current") else { continue }
      memory.totalBytes = min(memory.totalBytes, limit)
      let room = limit - min(limit, current - min(current, reclaimable(directory)))
      if room < memory.availableBytes {
        memory.availableBytes = room
        memory.boundedBy = directory
      }
    }
    return memory
  }

  /// The directories of this process's control group and those around it, innermost first. Inside a container the
  /// group's path may not exist below its own root, which then is the group.
  private static func groups(proc: String, cgroups: String) -> [String] {
    guard let bytes = readSmallFile("\(proc)/self/cgroup") else { return [] }
    let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("0::/") }
    guard let line else { return [] }
    var names = line.dropFirst(4).split(separator: "/").map(String.init)
    guard !names.contains(".."), names.count <= 64 else { return [cgroups] }
    var found: [String] = []
    while !names.isEmpty {
      found.append(cgroups + "/" + names.joined(separator: "/"))
      names.removeLast()
    }
    return found + [cgroups]
  }

  /// The lesser of the limits beyond which the kernel kills (`memory.max`) and slows down (`memory.high`).
  private static func limit(_ directory: String) -> UInt64? {
    switch (number("\(directory)/memory.max"), number("\(directory)/memory.high")) {
    case (let hard?, let soft?): min(hard, soft)
    case (let hard, let soft): hard ?? soft
    }
  }

  /// Pages of files that nobody has used lately: counted as held by the group, given back at once when it needs room.
  private static func reclaimable(_ directory: String) -> UInt64 {
    guard let bytes = readSmallFile("\(directory)/memory.stat") else { return 0 }
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      let words = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
      if words.first == "inactive_file", words.count == 2 { return UInt64(words[1]) ?? 0 }
    }
    return 0
  }

  /// A file with one number; nil for `max`, which is no limit.
  private static func number(_ path: String) -> UInt64? {
    readSmallFile(path, limit: 64).flatMap { bytes in
      UInt64(String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }
  }

}
