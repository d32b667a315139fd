/// Reads what `nvidia-smi` prints. The text comes from a driver that may be broken: a line that is not understood is
/// left out, never guessed.
enum NVIDIAReport {
  /// Arguments that make the tool print what ``gpus(_:)`` reads.
  static let gpuQuery = [
    "--query-gpu=index,uuid,name,memory.total,memory.used,memory.free", "--format=csv,noheader,nounits",
  ]
  /// Arguments that make the tool print what ``processes(_:)`` reads.
  static let processQuery = ["--query-compute-apps=pid,gpu_uuid,used_memory", "--format=csv,noheader,nounits"]
  /// Arguments that make the tool print what ``partitions(_:)`` reads.
  static let listing = ["-L"]

  /// One line about a GPU. Memory that the tool does not tell (`[N/A]`, `[Not Supported]`) is nil.
  struct GPU: Sendable, Equatable {
    var index: Int
    var uuid: String?
    var name: String
    var totalBytes: UInt64?
    var freeBytes: UInt64?
  }

  /// One process that computes on a GPU.
  struct Process: Sendable, Equatable {
    var pid: Int32
    var uuid: String
    /// Nil where the driver does not tell.
    var bytes: UInt64?
  }

  /// One slice of a GPU that is divided (MIG).
  struct Partition: Sendable, Equatable {
    /// The index of the GPU it is a slice of.
    var gpu: Int
    /// `1g.5gb`.
    var profile: String
    var uuid: String
    /// At least this much memory: the tool names a slice by its size in rounded gigabytes, and the usable part is
    /// about a twentieth smaller.
    var memoryBytes: UInt64
  }

  /// Numbers of the tool are MiB under `nounits`.
  private static let unit: UInt64 = 1 << 20
  /// No GPU has more memory than this; a larger number is garbage (4 TiB).
  private static let mostMegabytes: UInt64 = 4 << 20

  static func gpus(_ text: String) -> [GPU] {
    lines(text).compactMap { line in
      // A name may hold a comma: it is what stands between the first two fields and the last three.
      let fields = fields(line)
      guard fields.count >= 6, let index = Int(fields[0]), DeviceID.indices.contains(index) else { return nil }
      let memory = fields.suffix(3).map(bytes)
      let name = fields[2..<(fields.count - 3)].joined(separator: ", ")
      let total = memory[0].flatMap { $0 > 0 ? $0 : nil }
      var free = memory[2]
      if free == nil, let total, let used = memory[1] { free = total - min(total, used) }
      if let total, let known = free { free = min(known, total) }
      return GPU(
        index: index, uuid: isUUID(fields[1]) ? fields[1] : nil, name: told(name) ?? "NVIDIA GPU", totalBytes: total,
        freeBytes: free)
    }
  }

  static func processes(_ text: String) -> [Process] {
    lines(text).compactMap { line in
      let fields = fields(line)
      guard fields.count == 3, let pid = Int32(fields[0]), pid > 0, isUUID(fields[1]) else { return nil }
      return Process(pid: pid, uuid: fields[1], bytes: bytes(fields[2]))
    }
  }

  /// The slices in a listing such as
  ///
  ///     GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-…)
  ///       MIG 1g.5gb      Device  0: (UUID: MIG-…)
  static func partitions(_ text: String) -> [Partition] {
    var gpu: Int?
    return lines(text).compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      if words.first == "GPU", words.count > 1 { gpu = Int(words[1].dropLast()) }
      guard words.first == "MIG", words.count > 2, let gpu, let gigabytes = gigabytes(profile: words[1]),
        let start = line.firstRange(of: "(UUID: ")?.upperBound
      else { return nil }
      let uuid = String(line[start...].prefix { $0 != ")" })
      guard isUUID(uuid) else { return nil }
      return Partition(gpu: gpu, profile: words[1], uuid: uuid, memoryBytes: gigabytes * 1024 * unit / 20 * 19)
    }
  }

  /// 5 of `1g.5gb`, `1c.3g.20gb` and `1g.5gb+me`.
  private static func gigabytes(profile: String) -> UInt64? {
    guard let end = profile.firstRange(of: "gb"), let dot = profile[..<end.lowerBound].lastIndex(of: ".") else {
      return nil
    }
    let number = UInt64(profile[profile.index(after: dot)..<end.lowerBound]) ?? 0
    return (1...4096).contains(number) ? number : nil
  }

  /// `GPU-…` or `MIG-…`, in characters that are harmless in an environment variable.
  static func isUUID(_ text: String) -> Bool {
    (text.hasPrefix("GPU-") || text.hasPrefix("MIG-")) && (8...96).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == UInt8(ascii: "-")
          || $0 == UInt8(ascii: "/")
      }
  }

  private static func lines(_ text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).map { line in
      String(line.unicodeScalars.filter { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) })
    }
  }

  private static func fields(_ line: String) -> [String] {
    line.split(separator: ",", omittingEmptySubsequences: false).map { $0.withoutBlanks }
  }

  /// A field, unless the tool says that it does not know: `[N/A]`, `[Not Supported]`, `[Unknown Error]`.
  private static func told(_ field: String) -> String? {
    field.isEmpty || field.hasPrefix("[") || field == "N/A" ? nil : String(field.prefix(128))
  }

  private static func bytes(_ field: String) -> UInt64? {
    guard let megabytes = told(field).flatMap({ UInt64($0) }), megabytes <= mostMegabytes else { return nil }
    return megabytes * unit
  }
}

extension Substring {
  /// Without blanks and tabs at both ends.
  var withoutBlanks: String {
    var rest = self
    while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
    while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
    return String(rest)
  }
}
