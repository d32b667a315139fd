import Glibc

/// What the kernel says about processes, read from `/proc`.
package enum ProcessTable {
  /// One line of `/proc/PID/stat`, as far as it matters here.
  package struct Entry: Sendable, Equatable {
    package let pid: Int32
    /// One letter: R, S, D, T, Z and others of proc(5).
    package let state: Character
    package let parent: Int32
    package let group: Int32
    package let session: Int32
    /// Clock ticks since boot. Together with the pid and the boot id it names a process for ever.
    package let startTime: UInt64

    /// A zombie has a pid and takes signals, but nothing of it runs.
    package var isAlive: Bool { state != "Z" && state != "X" && state != "x" }
  }

  /// The process with this number, or `nil` when there is none.
  package static func entry(_ pid: Int32) -> Entry? {
    readSmallFile("/proc/\(pid)/stat").flatMap(parse)
  }

  /// Whether the process runs, and is not merely a zombie that nobody has reaped.
  package static func isAlive(_ pid: Int32) -> Bool {
    entry(pid)?.isAlive ?? false
  }

  /// Every process that could be read. It is no snapshot: processes come and go while the table is read.
  package static func all() -> [Entry] {
    guard let directory = opendir("/proc") else { return [] }
    defer { closedir(directory) }
    var entries: [Entry] = []
    while let item = readdir(directory) {
      let name = withUnsafePointer(to: &item.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard let pid = Int32(name), let entry = entry(pid) else { continue }
      entries.append(entry)
    }
    return entries
  }

  /// The children of a process, zombies included.
  package static func children(of parent: Int32) -> [Entry] {
    all().filter { $0.parent == parent }
  }

  /// Everything below a process: children, their children, and so on. The process itself is not among them.
  package static func descendants(of root: Int32) -> [Entry] {
    let byParent = Dictionary(grouping: all(), by: \.parent)
    var found: [Entry] = []
    var pending = [root]
    var seen: Set<Int32> = [root]
    while let parent = pending.popLast() {
      for child in byParent[parent] ?? [] where seen.insert(child.pid).inserted {
        found.append(child)
        pending.append(child.pid)
      }
    }
    return found
  }

  /// Resident memory of a process in bytes, or `nil` when it is gone.
  package static func residentBytes(_ pid: Int32) -> UInt64? {
    guard let text = readSmallFile("/proc/\(pid)/statm") else { return nil }
    let fields = text.split(separator: UInt8(ascii: " "))
    guard fields.count > 1, let pages = UInt64(String(decoding: fields[1], as: UTF8.self)) else { return nil }
    return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
  }

  /// The command line of a process, its words joined by spaces; empty when it is gone.
  package static func command(_ pid: Int32) -> String {
    let bytes = readSmallFile("/proc/\(pid)/cmdline", limit: 1024) ?? []
    return String(decoding: bytes.map { $0 == 0 ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
  }

  /// A name for the current boot of this machine: process numbers and start times mean nothing in another one.
  package static func bootID() -> String? {
    readSmallFile("/proc/sys/kernel/random/boot_id").map { bytes in
      String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
  }

  /// Reads a line of `/proc/PID/stat`. The name, in parentheses, is the process's own choice and may hold anything, so the
  /// fields are counted from the last parenthesis.
  static func parse(_ stat: [UInt8]) -> Entry? {
    guard let open = stat.firstIndex(of: UInt8(ascii: "(")), let close = stat.lastIndex(of: UInt8(ascii: ")")),
      open < close,
      let pid = Int32(String(decoding: stat[..<open], as: UTF8.self).filter { $0 != " " })
    else { return nil }
    let fields = stat[(close + 1)...].split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
    // fields[0] is field 3 of proc(5).
    guard fields.count > 19, let state = fields[0].first, let parent = Int32(fields[1]), let group = Int32(fields[2]),
      let session = Int32(fields[3]), let startTime = UInt64(fields[19])
    else { return nil }
    return Entry(pid: pid, state: state, parent: parent, group: group, session: session, startTime: startTime)
  }
}

/// The whole of a file that is known to be small and never to block, at most `limit` bytes of it.
func readSmallFile(_ path: String, limit: Int = 16 * 1024) -> [UInt8]? {
  let fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
  guard fd >= 0 else { return nil }
  defer { close(fd) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 4096)
  while bytes.count < limit {
    let count = read(fd, &buffer, min(buffer.count, limit - bytes.count))
    if count < 0 && errno == EINTR { continue }
    guard count >= 0 else { return nil }
    if count == 0 { break }
    bytes += buffer[..<count]
  }
  return bytes
}
