/// Devices as the kernel's drivers show them in files. Nothing is run, and a file that is missing or odd means one
/// device less.
enum DriverFiles {
  /// A GPU of which the driver tells that it is there, but perhaps not how much memory it has.
  struct Card: Sendable, Equatable {
    var name: String
    var uuid: String?
    var totalBytes: UInt64?
    var freeBytes: UInt64?
  }

  /// What the NVIDIA driver says below `PROC/driver/nvidia/gpus`, in the order of the bus.
  static func nvidia(proc: String) -> [Card] {
    let root = "\(proc)/driver/nvidia/gpus"
    return FileTree.names(in: root).sorted().compactMap {
      readSmallFile("\(root)/\($0)/information").flatMap(nvidiaCard)
    }
  }

  /// AMD's cards below `SYS/class/drm`, in the order of the kernel's numbers. Usable memory is what the card itself has
  /// (VRAM); on a processor with graphics that is the part of the main memory set aside for it.
  static func amd(sys: String) -> [Card] {
    let root = "\(sys)/class/drm"
    let numbers = FileTree.names(in: root).sorted().compactMap { name in
      name.hasPrefix("card") ? UInt16(name.dropFirst(4)) : nil
    }
    return numbers.sorted().compactMap { number in
      let device = "\(root)/card\(number)/device"
      guard line("\(device)/vendor") == "0x1002", let total = number64("\(device)/mem_info_vram_total"), total > 0
      else {
        return nil
      }
      let used = number64("\(device)/mem_info_vram_used")
      let uuid = line("\(device)/unique_id").flatMap { id in
        id.utf8.count == 16 && id.utf8.allSatisfy(isHexDigit) ? "GPU-\(id)" : nil
      }
      return Card(
        name: line("\(device)/product_name") ?? "AMD GPU \(line("\(device)/device") ?? "")".trimmed, uuid: uuid,
        totalBytes: total, freeBytes: used.map { total - min(total, $0) })
    }
  }

  private static func nvidiaCard(_ bytes: [UInt8]) -> Card? {
    var fields: [String: String] = [:]
    for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      fields[line[..<colon].withoutBlanks] = line[line.index(after: colon)...].withoutBlanks
    }
    // A GPU that the administrator took out of service cannot be computed on.
    guard let model = fields["Model"], fields["GPU Excluded"] != "Yes" else { return nil }
    return Card(
      name: String(model.prefix(128)), uuid: fields["GPU UUID"].flatMap { NVIDIAReport.isUUID($0) ? $0 : nil },
      totalBytes: fields["Video Memory"].flatMap(memory), freeBytes: nil)
  }

  /// `24576 MB` and the like: the driver counts in powers of two whatever it calls them.
  private static func memory(_ text: String) -> UInt64? {
    let parts = text.split(separator: " ")
    let shifts = ["kB": 10, "KB": 10, "KiB": 10, "MB": 20, "MiB": 20, "GB": 30, "GiB": 30]
    guard parts.count == 2, let number = UInt64(parts[0]), let shift = shifts[String(parts[1])], number > 0,
      number <= (1 << 42) >> UInt64(shift)
    else { return nil }
    return number << UInt64(shift)
  }

  private static func line(_ path: String) -> String? {
    guard let bytes = readSmallFile(path, limit: 256) else { return nil }
    let text = String(decoding: bytes.prefix { $0 >= 0x20 && $0 != 0x7F }, as: UTF8.self).trimmed
    return text.isEmpty ? nil : text
  }

  private static func number64(_ path: String) -> UInt64? { line(path).flatMap { UInt64($0) } }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
  }
}

extension String {
  fileprivate var trimmed: String { self[...].withoutBlanks }
}
