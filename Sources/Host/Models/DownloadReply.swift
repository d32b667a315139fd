/// What a server's answer means for a download that asked for the bytes from an offset on. Pure.
package enum DownloadReply: Equatable, Sendable {
  /// The body continues the bytes already here; `total` is the whole file's size, when said.
  case append(total: Int64?)
  /// The body is the whole file; bytes already here are thrown away.
  case whole(total: Int64?)
  /// The bytes already here cannot be continued: ask again for the whole file.
  case startOver
  case redirect
  /// Nothing a download can use.
  case refused(String)

  /// Reads status line and headers.
  ///
  /// - Parameters:
  ///   - offset: The start of the range asked for; 0 when the whole file was asked for.
  ///   - contentLength: Of this answer's body.
  package static func read(
    offset: Int64, status: Int, contentRange: String?, contentLength: Int64?, contentEncoding: String?
  ) -> DownloadReply {
    if (200..<300).contains(status), let contentEncoding, contentEncoding.lowercased() != "identity" {
      return .refused("sent the file encoded as \(contentEncoding.quotedForMessage), which was not asked for")
    }
    switch status {
    case 200: return .whole(total: contentLength)
    case 206:
      guard let contentRange, let range = Range(contentRange), range.start == offset,
        range.total.map({ range.end == $0 - 1 }) ?? true
      else { return offset > 0 ? .startOver : .refused("answered with a range that was not asked for") }
      return offset > 0 ? .append(total: range.total) : .whole(total: range.total)
    case 301, 302, 303, 307, 308: return .redirect
    case 416 where offset > 0: return .startOver
    case 401, 403, 407: return .refused("refused access (status \(status)); check the URL and its token")
    case 404, 410: return .refused("does not have the file (status \(status)); check the URL")
    case 429: return .refused("asks to come back later (status 429)")
    case 500...599: return .refused("has a fault of its own (status \(status)); try again later")
    default: return .refused("answered with status \(status), which a download cannot use")
    }
  }

  /// `bytes START-END/TOTAL`; TOTAL may be `*`.
  private struct Range {
    let start: Int64
    let end: Int64
    let total: Int64?

    init?(_ text: String) {
      guard text.lowercased().hasPrefix("bytes ") else { return nil }
      let sides = text.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
      guard sides.count == 2 else { return nil }
      let ends = sides[0].split(separator: "-", omittingEmptySubsequences: false)
      guard ends.count == 2, let start = Int64(ends[0]), let end = Int64(ends[1]), start >= 0, end >= start else {
        return nil
      }
      if sides[1] == "*" {
        total = nil
      } else {
        guard let whole = Int64(sides[1]), whole > end else { return nil }
        total = whole
      }
      self.start = start
      self.end = end
    }
  }
}
