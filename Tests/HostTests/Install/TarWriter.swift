import CZlib
import Foundation

@testable import Host

/// Writes tar archives, good and evil ones, byte by byte.
struct TarWriter {
  private(set) var bytes: [UInt8] = []

  /// A header and its contents. `change` may spoil the header before its checksum is made.
  mutating func add(
    _ name: String, type: Character = "0", contents: [UInt8] = [], target: String = "", mode: String = "0000644",
    size: String? = nil, change: (inout [UInt8]) -> Void = { _ in }
  ) {
    add(
      Array(name.utf8), type: type, contents: contents, target: Array(target.utf8), mode: mode, size: size,
      change: change)
  }

  mutating func add(
    _ name: [UInt8], type: Character = "0", contents: [UInt8] = [], target: [UInt8] = [], mode: String = "0000644",
    size: String? = nil, change: (inout [UInt8]) -> Void = { _ in }
  ) {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: [UInt8], at offset: Int) {
      for (index, byte) in text.enumerated() { header[offset + index] = byte }
    }
    put(Array(name.prefix(100)), at: 0)
    put(Array(mode.utf8), at: 100)
    put(Array("0000000".utf8), at: 108)
    put(Array("0000000".utf8), at: 116)
    put(Array((size ?? String(format: "%011o", contents.count)).utf8), at: 124)
    put(Array("00000000000".utf8), at: 136)
    header[156] = type.asciiValue ?? 0
    put(Array(target.prefix(100)), at: 157)
    put(Array("ustar\u{0}00".utf8), at: 257)
    change(&header)
    for index in 148..<156 { header[index] = 32 }
    let sum = header.reduce(0) { $0 + Int($1) }
    put(Array(String(format: "%06o", sum).utf8) + [0, 32], at: 148)
    bytes += header + contents
    bytes += [UInt8](repeating: 0, count: (512 - contents.count % 512) % 512)
  }

  /// A pax header for the next entry, or, of type `g`, for all.
  mutating func pax(_ records: [(String, String)], type: Character = "x") {
    var body: [UInt8] = []
    for (key, value) in records {
      let rest = " \(key)=\(value)\n".utf8.count
      var length = rest + 1
      while String(length).utf8.count + rest != length { length += 1 }
      body += Array("\(length) \(key)=\(value)\n".utf8)
    }
    add("PaxHeader", type: type, contents: body)
  }

  /// The archive, ended.
  var archive: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

  static func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    deflateInit2_(
      &stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: bytes.count + 1024)
    input.withUnsafeMutableBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        (stream.next_in, stream.avail_in) = (input.baseAddress, UInt32(input.count))
        (stream.next_out, stream.avail_out) = (output.baseAddress, UInt32(output.count))
        deflate(&stream, Z_FINISH)
      }
    }
    return Array(output.prefix(Int(stream.total_out)))
  }
}

/// What an archive told, with files put together.
struct ReadArchive: Equatable {
  var directories: [String] = []
  var files: [String: [UInt8]] = [:]
  var executables: Set<String> = []
  var links: [String: String] = [:]

  init(_ bytes: [UInt8], pieces: Int = .max, limits: ArchiveLimits = ArchiveLimits()) throws {
    var reader = ArchiveReader(limits: limits)
    var latest = ""
    let tell = { (event: ArchiveEvent) in
      switch event {
      case .directory(let path): directories.append(path)
      case .file(let path, let isExecutable, _):
        latest = path
        files[path] = []
        if isExecutable { executables.insert(path) }
      case .contents(let bytes): files[latest, default: []] += bytes
      case .link(let path, let target): links[path] = target
      }
    }
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = rest.prefix(pieces)
      rest = rest.dropFirst(piece.count)
      try reader.feed(piece, tell)
    }
    try reader.finish(tell)
  }
}
