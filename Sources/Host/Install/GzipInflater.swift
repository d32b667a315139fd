import CZlib

/// Inflates one gzip stream, piece by piece, and refuses to let it grow beyond what it may.
///
/// One member: what comes after it must be zeros, as on tapes. A second member is refused, because programs differ in
/// whether they read it.
final class GzipInflater {
  private var stream = z_stream()
  private let limits: ArchiveLimits
  private var taken: Int64 = 0
  private var given: Int64 = 0
  private(set) var isEnded = false
  private var output = [UInt8](repeating: 0, count: 64 << 10)

  init(limits: ArchiveLimits) throws(ArchiveError) {
    self.limits = limits
    // 15 bits of window, and 16 for gzip's header and checksum.
    let status = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else { throw ArchiveError("zlib cannot be used: status \(status)") }
  }

  deinit { inflateEnd(&stream) }

  /// Takes stored bytes; hands inflated ones to `body` in pieces of at most 64 KiB.
  func feed(_ bytes: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) throws -> Void) throws {
    var rest = bytes
    // What fills the whole output may have more to give, although all input was taken.
    var hasMore = !rest.isEmpty
    while hasMore {
      if isEnded {
        guard rest.allSatisfy({ $0 == 0 }) else {
          throw ArchiveError("something comes after the end of the gzip stream")
        }
        return
      }
      let (count, made, status) = inflate(rest)
      rest = rest.dropFirst(count)
      taken += Int64(count)
      given += Int64(made)
      try check()
      switch status {
      case Z_OK, Z_BUF_ERROR: break
      case Z_STREAM_END: isEnded = true
      case Z_NEED_DICT, Z_DATA_ERROR: throw ArchiveError("the gzip stream is damaged")
      case Z_MEM_ERROR: throw ArchiveError("there is no memory to inflate the archive")
      default: throw ArchiveError("zlib gave up with status \(status)")
      }
      if made > 0 { try body(output[..<made]) }
      guard count > 0 || made > 0 || isEnded || rest.isEmpty else { throw ArchiveError("the gzip stream is damaged") }
      hasMore = !rest.isEmpty || (made == output.count && !isEnded)
    }
  }

  /// Says that there are no more bytes.
  func finish() throws(ArchiveError) {
    guard isEnded else { throw ArchiveError("the gzip stream ends too early; fetch or pack it again") }
  }

  private func check() throws(ArchiveError) {
    guard given <= limits.unpackedBytes else {
      throw ArchiveError("the archive unpacks to more than \(ByteSize.text(limits.unpackedBytes))")
    }
    guard given <= limits.ratioGrace || given / limits.ratio <= taken else {
      throw ArchiveError("the archive unpacks to more than \(limits.ratio) times its size, as bombs do")
    }
  }

  private func inflate(_ bytes: ArraySlice<UInt8>) -> (taken: Int, made: Int, status: Int32) {
    bytes.withUnsafeBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        // zlib does not write through `next_in`; its type merely does not say so.
        stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        stream.avail_in = UInt32(clamping: input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(clamping: output.count)
        let offered = (Int(stream.avail_in), Int(stream.avail_out))
        let status = CZlib.inflate(&stream, Z_NO_FLUSH)
        return (offered.0 - Int(stream.avail_in), offered.1 - Int(stream.avail_out), status)
      }
    }
  }
}
