import Glibc

/// Main memory that an engine holds, over all of its processes.
package struct ProcessMemory: Sendable, Equatable {
  /// Heaps, stacks and shared memory: bytes that only the engine can give back.
  package var anonymousBytes: UInt64
  /// Pages of files, above all of mapped models: the kernel takes them back when it needs room, and reads them again.
  package var fileBytes: UInt64
  /// Processes that were counted.
  package var processes: Int
  /// Whether pages that several processes share are divided among them (PSS). Otherwise each counts them whole, and
  /// the sum may be too large.
  package var isProportional: Bool

  package var residentBytes: UInt64 { anonymousBytes + fileBytes }

  /// Measures an engine. Blocks; takes time in proportion to what is resident, a few milliseconds for a gigabyte.
  ///
  /// - Parameter pid: the engine's process, or any that leads its session.
  /// - Returns: nil when it is gone.
  package static func measure(engine pid: Int32) -> ProcessMemory? {
    let parts = processes(ofEngine: pid).compactMap(measure(process:))
    guard !parts.isEmpty else { return nil }
    return ProcessMemory(
      anonymousBytes: parts.reduce(0) { $0 + $1.anonymousBytes }, fileBytes: parts.reduce(0) { $0 + $1.fileBytes },
      processes: parts.reduce(0) { $0 + $1.processes }, isProportional: parts.allSatisfy(\.isProportional))
  }

  /// The engine's processes: itself, everything below it, and everything in its session when it leads one, where
  /// children are that lost their parent.
  package static func processes(ofEngine pid: Int32) -> Set<Int32> {
    let table = ProcessTable.all().filter(\.isAlive)
    guard let engine = table.first(where: { $0.pid == pid }) else { return [] }
    var found: Set<Int32> = [pid]
    if engine.session == pid { found.formUnion(table.filter { $0.session == pid }.map(\.pid)) }
    let byParent = Dictionary(grouping: table, by: \.parent)
    var pending = Array(found)
    while let parent = pending.popLast() {
      for child in byParent[parent] ?? [] where found.insert(child.pid).inserted { pending.append(child.pid) }
    }
    return found
  }

  /// One process alone; nil when it is gone.
  static func measure(process pid: Int32) -> ProcessMemory? {
    // Readable for whoever may trace the process; without that right, or before Linux 5.4, the coarser file remains.
    if let rollup = readSmallFile("/proc/\(pid)/smaps_rollup").flatMap({ parse(rollup: $0) }) { return rollup }
    return readSmallFile("/proc/\(pid)/status").flatMap { parse(status: $0) }
  }

  /// Reads `/proc/PID/smaps_rollup`.
  static func parse(rollup: [UInt8]) -> ProcessMemory? {
    let fields = kibibytes(rollup)
    guard let anonymous = fields["Pss_Anon"], let file = fields["Pss_File"] else { return nil }
    return ProcessMemory(
      anonymousBytes: anonymous + (fields["Pss_Shmem"] ?? 0), fileBytes: file, processes: 1, isProportional: true)
  }

  /// Reads `/proc/PID/status`, which a zombie has too, but without memory.
  static func parse(status: [UInt8]) -> ProcessMemory? {
    let fields = kibibytes(status)
    guard let anonymous = fields["RssAnon"], let file = fields["RssFile"] else { return nil }
    return ProcessMemory(
      anonymousBytes: anonymous + (fields["RssShmem"] ?? 0), fileBytes: file, processes: 1, isProportional: false)
  }

  /// The lines of the form `Name:   123 kB`, in bytes.
  static func kibibytes(_ text: [UInt8]) -> [String: UInt64] {
    var fields: [String: UInt64] = [:]
    for line in text.split(separator: UInt8(ascii: "\n")) {
      let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        .map { String(decoding: $0, as: UTF8.self) }
      guard words.count == 3, words[2] == "kB", words[0].hasSuffix(":"), let number = UInt64(words[1]) else { continue }
      // The sum of two such numbers must still fit.
      guard number < 1 << 50 else { continue }
      fields[String(words[0].dropLast())] = number << 10
    }
    return fields
  }
}
