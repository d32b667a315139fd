/// Reads a tar stream that may be hostile. A value that can be fed in any pieces; memory stays bounded by its limits.
///
/// Files, directories and symbolic links that stay inside are told of. Hard links, devices, FIFOs, sparse files,
/// set-user-ID files and everything unknown end the reading.
struct TarReader {
  private enum State {
    case header
    /// Contents of a file.
    case file(left: Int64, padding: Int)
    /// A pax header or a long name, which is for the entry after it.
    case extra(UInt8, left: Int, padding: Int)
    case padding(Int)
    /// After the end, only zeros.
    case ended
  }

  private let limits: ArchiveLimits
  private var index: ArchiveIndex
  private var state = State.header
  /// A header that has come in part, or what of an extra header has come.
  private var buffer: [UInt8] = []
  private var total: Int64 = 0
  private var pax: PaxRecords?
  private var longName: [UInt8]?
  private var longTarget: [UInt8]?

  init(limits: ArchiveLimits) {
    self.limits = limits
    index = ArchiveIndex(limits: limits)
  }

  /// Takes the next bytes of the stream.
  mutating func feed(_ bytes: ArraySlice<UInt8>, _ tell: (ArchiveEvent) throws -> Void) throws {
    total += Int64(bytes.count)
    guard total <= limits.unpackedBytes else {
      throw ArchiveError("the archive unpacks to more than \(ByteSize.text(limits.unpackedBytes))")
    }
    var rest = bytes
    while !rest.isEmpty {
      switch state {
      case .header:
        let part = rest.prefix(TarHeader.blockBytes - buffer.count)
        buffer += part
        rest = rest.dropFirst(part.count)
        guard buffer.count == TarHeader.blockBytes else { return }
        let block = buffer
        buffer = []
        try begin(block[...], tell)
      case .file(let left, let padding):
        let part = rest.prefix(Int(min(left, Int64(rest.count))))
        rest = rest.dropFirst(part.count)
        state = left > Int64(part.count) ? .file(left: left - Int64(part.count), padding: padding) : after(padding)
        try tell(.contents(part))
      case .extra(let type, let left, let padding):
        let part = rest.prefix(left)
        buffer += part
        rest = rest.dropFirst(part.count)
        guard left == part.count else {
          state = .extra(type, left: left - part.count, padding: padding)
          return
        }
        state = after(padding)
        let extra = buffer
        buffer = []
        try keep(type, extra)
      case .padding(let left):
        let count = min(left, rest.count)
        rest = rest.dropFirst(count)
        state = after(left - count)
      case .ended:
        guard TarHeader.isZero(rest) else { throw ArchiveError("something comes after the end of the archive") }
        return
      }
    }
  }

  /// Says that there are no more bytes, and tells of the links.
  mutating func finish(_ tell: (ArchiveEvent) throws -> Void) throws {
    guard case .ended = state else { throw ArchiveError("the archive ends too early; fetch or pack it again") }
    for (path, target) in try index.finish() { try tell(.link(path: path, target: target)) }
  }

  private func after(_ padding: Int) -> State { padding > 0 ? .padding(padding) : .header }

  /// Bytes up to the next block.
  private static func padding(_ size: Int64) -> Int {
    Int((Int64(TarHeader.blockBytes) - size % Int64(TarHeader.blockBytes)) % Int64(TarHeader.blockBytes))
  }

  // MARK: Headers

  private mutating func begin(_ block: ArraySlice<UInt8>, _ tell: (ArchiveEvent) throws -> Void) throws {
    if TarHeader.isZero(block) {
      guard pax == nil, longName == nil, longTarget == nil else {
        throw ArchiveError("the archive ends after a header that is for an entry")
      }
      state = .ended
      return
    }
    let header = try TarHeader(block)
    switch header.type {
    case UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"):
      guard header.size > 0, header.size <= Int64(limits.headerBytes) else {
        throw ArchiveError("an extended header has \(header.size) bytes; at most \(limits.headerBytes) are read")
      }
      state = .extra(header.type, left: Int(header.size), padding: TarReader.padding(header.size))
    default: try entry(header, tell)
    }
  }

  private mutating func keep(_ type: UInt8, _ bytes: [UInt8]) throws(ArchiveError) {
    switch type {
    case UInt8(ascii: "g"): _ = try PaxRecords(bytes[...], isGlobal: true)
    case UInt8(ascii: "x"):
      guard pax == nil else { throw ArchiveError("two pax headers are for one entry") }
      pax = try PaxRecords(bytes[...], isGlobal: false)
    case UInt8(ascii: "L"):
      guard longName == nil else { throw ArchiveError("two long names are for one entry") }
      longName = Array(bytes.prefix { $0 != 0 })
    default:
      guard longTarget == nil else { throw ArchiveError("two long targets are for one link") }
      longTarget = Array(bytes.prefix { $0 != 0 })
    }
  }

  private mutating func entry(_ header: TarHeader, _ tell: (ArchiveEvent) throws -> Void) throws {
    defer { (pax, longName, longTarget) = (nil, nil, nil) }
    guard pax?.path == nil || longName == nil, pax?.linkTarget == nil || longTarget == nil else {
      throw ArchiveError("an entry is named in two ways; pack it with one format")
    }
    let name = pax?.path ?? longName ?? header.path
    let size = pax?.size ?? header.size
    let shown = String(decoding: name, as: UTF8.self)
    let components = try index.components(name)
    let isDirectoryName = name.last == UInt8(ascii: "/")
    switch header.type {
    case UInt8(ascii: "0"), UInt8(ascii: "7"), 0:
      // Before POSIX a directory was a file with a slash at its end.
      if isDirectoryName, size == 0 { return try directory(components, tell) }
      guard !isDirectoryName else { throw ArchiveError(shown, "is a file with the name of a directory") }
      try file(components, header.mode, size, shown, tell)
    case UInt8(ascii: "5"):
      guard size == 0 else { throw ArchiveError(shown, "is a directory with contents") }
      try directory(components, tell)
    case UInt8(ascii: "2"):
      guard size == 0 else { throw ArchiveError(shown, "is a link with contents") }
      let made = try index.link(components, target: pax?.linkTarget ?? longTarget ?? header.linkTarget)
      for path in made.parents { try tell(.directory(path: path)) }
    case UInt8(ascii: "1"): throw ArchiveError(shown, "is a hard link; pack it with --hard-dereference")
    case UInt8(ascii: "3"), UInt8(ascii: "4"): throw ArchiveError(shown, "is a device")
    case UInt8(ascii: "6"): throw ArchiveError(shown, "is a named pipe")
    case UInt8(ascii: "S"): throw ArchiveError(shown, "is a sparse file; pack it without --sparse")
    default: throw ArchiveError(shown, "is of a kind (\(header.type)) that is not unpacked")
    }
  }

  private mutating func directory(_ components: [String], _ tell: (ArchiveEvent) throws -> Void) throws {
    for path in try index.directory(components) { try tell(.directory(path: path)) }
  }

  private mutating func file(
    _ components: [String], _ mode: Int64, _ size: Int64, _ shown: String, _ tell: (ArchiveEvent) throws -> Void
  ) throws {
    guard mode & 0o6000 == 0 else { throw ArchiveError(shown, "sets the user or group that it runs as") }
    guard size <= limits.unpackedBytes else {
      throw ArchiveError(shown, "has more than \(ByteSize.text(limits.unpackedBytes))")
    }
    let made = try index.file(components)
    for path in made.parents { try tell(.directory(path: path)) }
    state = size > 0 ? .file(left: size, padding: TarReader.padding(size)) : .header
    try tell(.file(path: made.path, isExecutable: mode & 0o111 != 0, bytes: size))
  }
}
