@testable import Host

/// Archives of unknown origin: what is told, written beneath an empty directory by who believes it, stays there.
///
/// The first byte says how the rest becomes an archive: as it is; with the checksums of its headers made right, which
/// no mutation hits by itself; or that in gzip.
func fuzzArchive(_ input: [UInt8]) {
  var steering = Steering(input)
  let mode = steering.byte()
  let seed = steering.byte()
  var bytes = steering.payload
  if mode % 4 != 0 { bytes = withChecksums(bytes) }
  if mode % 4 == 2 { bytes = gzip(bytes) }

  var limits = ArchiveLimits()
  limits.archiveBytes = 256 << 10
  limits.unpackedBytes = 128 << 10
  limits.entries = 64
  limits.ratioGrace = 64 << 10
  let whole = read([bytes], limits)
  let chunked = read(pieces(bytes, seed: seed), limits)
  require(whole.problem == chunked.problem, "refused in one way of feeding only: \([whole.problem, chunked.problem])")
  require(whole.problem != nil || whole.told == chunked.told, "other entries by other pieces")
  if whole.problem == nil { checkLinks(whole.told) }
}

/// An entry as whoever unpacks it makes it.
private enum Entry: Equatable {
  case directory
  case file([UInt8])
  case link(String)
}

private struct Reading {
  /// By path, in bytes: nothing that Swift takes for equal text.
  var told: [[UInt8]: Entry] = [:]
  var problem: String?
}

private func read(_ pieces: [[UInt8]], _ limits: ArchiveLimits) -> Reading {
  var reading = Reading()
  var reader = ArchiveReader(limits: limits)
  var open: (path: [UInt8], left: Int64)?
  var bytes: Int64 = 0
  func add(_ path: String, _ entry: Entry) {
    let name = Array(path.utf8)
    require(open == nil, "\(path) comes while a file is not whole")
    require(isPlainPath(name), "leaves its root: \(name)")
    require(reading.told[name] == nil, "comes twice: \(path)")
    let parent = name.lastIndex(of: 0x2F).map { Array(name[..<$0]) }
    require(parent.map { reading.told[$0] == .directory } ?? true, "no directory was told for \(path)")
    reading.told[name] = entry
  }
  func take(_ event: ArchiveEvent) {
    switch event {
    case .directory(let path): add(path, .directory)
    case .file(let path, _, let size):
      add(path, .file([]))
      require(size >= 0 && size <= limits.unpackedBytes, "a file of \(size) bytes")
      if size > 0 { open = (Array(path.utf8), size) }
    case .contents(let part):
      guard let (path, left) = open, case .file(let earlier)? = reading.told[path] else {
        return require(false, "contents of nothing")
      }
      bytes += Int64(part.count)
      require(Int64(part.count) <= left && bytes <= limits.unpackedBytes, "more than was announced, or is allowed")
      reading.told[path] = .file(earlier + part)
      open = left == Int64(part.count) ? nil : (path, left - Int64(part.count))
    case .link(let path, let target): add(path, .link(target))
    }
  }
  do {
    for piece in pieces { try reader.feed(piece[...], take) }
    try reader.finish(take)
    require(open == nil, "ended with a file that is not whole")
  } catch {
    reading.problem = "\(error)"
    require(isPlain("\(error)"), "a control character: \(error)")
  }
  require(reading.told.count <= limits.entries, "\(reading.told.count) entries")
  return reading
}

private func isPlainPath(_ path: [UInt8]) -> Bool {
  !path.contains(0)
    && path.split(separator: 0x2F, omittingEmptySubsequences: false).allSatisfy {
      !$0.isEmpty && !$0.elementsEqual([0x2E]) && !$0.elementsEqual([0x2E, 0x2E])
    }
}

/// Every link, walked as the kernel walks it, never leaves the root.
private func checkLinks(_ told: [[UInt8]: Entry]) {
  for (path, entry) in told {
    guard case .link = entry else { continue }
    var done: [[UInt8]] = []
    var rest = path.split(separator: 0x2F).map(Array.init)
    var hops = 0
    while !rest.isEmpty {
      let part = rest.removeFirst()
      if part == [0x2E] { continue }
      if part == [0x2E, 0x2E] {
        require(!done.isEmpty, "a link leads out: \(path)")
        done.removeLast()
        continue
      }
      done.append(part)
      guard case .link(let target)? = told[Array(done.joined(separator: [0x2F]))] else { continue }
      hops += 1
      require(hops <= 40 && target.utf8.first != 0x2F, "a link goes round, or to an absolute path: \(path)")
      done.removeLast()
      rest = target.utf8.split(separator: 0x2F).map(Array.init) + rest
    }
  }
}

/// The bytes as blocks of 512, padded, where each that a reader would take for a header has the checksum that it needs.
private func withChecksums(_ bytes: [UInt8]) -> [UInt8] {
  var all = bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512 + 1024)
  var at = 0
  while at + 512 <= all.count {
    if all[at..<(at + 512)].allSatisfy({ $0 == 0 }) { break }
    var sum = 8 * 32
    for index in at..<(at + 512) where !(at + 148..<at + 156).contains(index) { sum += Int(all[index]) }
    let digits = String(sum, radix: 8)
    all.replaceSubrange(
      (at + 148)..<(at + 156), with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 32])
    var size = 0
    for byte in all[(at + 124)..<(at + 136)] where (0x30...0x37).contains(byte) && size < 1 << 40 {
      size = size << 3 | Int(byte - 0x30)
    }
    at += 512 + (size + 511) / 512 * 512
  }
  return all
}

/// One gzip member of stored blocks.
private func gzip(_ bytes: [UInt8]) -> [UInt8] {
  var out: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]
  var rest = bytes[...]
  repeat {
    let part = rest.prefix(65_535)
    rest = rest.dropFirst(part.count)
    let count = UInt16(part.count)
    out += [rest.isEmpty ? 1 : 0, UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255), UInt8(~count >> 8)]
    out += part
  } while !rest.isEmpty
  var crc: UInt32 = ~0
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
  }
  for value in [~crc, UInt32(truncatingIfNeeded: bytes.count)] {
    for shift in [0, 8, 16, 24] { out.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
  }
  return out
}
