/// What a pax header (POSIX.1-2001) says of the entry after it. Only what decides where and how much is written is
/// taken; owners, times and attributes are passed over.
struct PaxRecords {
  var path: [UInt8]?
  var linkTarget: [UInt8]?
  var size: Int64?

  /// - Parameter isGlobal: a header for all entries after it: it may hold remarks, and nothing that names or sizes.
  init(_ bytes: ArraySlice<UInt8>, isGlobal: Bool) throws(ArchiveError) {
    var rest = bytes
    while let first = rest.first {
      // Some writers pad with NUL.
      if first == 0, rest.allSatisfy({ $0 == 0 }) { return }
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard let length = Int(String(decoding: digits, as: UTF8.self)), digits.count <= 7, length > digits.count + 3,
        length <= rest.count, rest[rest.startIndex + digits.count] == UInt8(ascii: " "),
        rest[rest.startIndex + length - 1] == UInt8(ascii: "\n")
      else { throw ArchiveError("the archive is damaged: a pax header is not made of records") }
      let record = rest[(rest.startIndex + digits.count + 1)..<(rest.startIndex + length - 1)]
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
        throw ArchiveError("the archive is damaged: a pax record has no value")
      }
      try take(
        String(decoding: record[..<equals], as: UTF8.self), Array(record[record.index(after: equals)...]), isGlobal)
      rest = rest[(rest.startIndex + length)...]
    }
  }

  private mutating func take(_ key: String, _ value: [UInt8], _ isGlobal: Bool) throws(ArchiveError) {
    if key.hasPrefix("GNU.sparse") { throw ArchiveError("sparse files are not unpacked; pack it without --sparse") }
    let decides = ["path", "linkpath", "size"].contains(key)
    guard !(decides && isGlobal) else {
      throw ArchiveError("a global pax header sets '\(key)' for every entry; pack it without")
    }
    switch key {
    case "path":
      guard path == nil else { throw ArchiveError("a pax header names its entry twice") }
      path = value
    case "linkpath":
      guard linkTarget == nil else { throw ArchiveError("a pax header names a link's target twice") }
      linkTarget = value
    case "size":
      let text = String(decoding: value, as: UTF8.self)
      guard size == nil, value.count <= 15, value.allSatisfy({ (48...57).contains($0) }), let number = Int64(text)
      else { throw ArchiveError("a pax header's size is not one number") }
      size = number
    default: break
    }
  }
}
