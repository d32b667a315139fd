/// Whose a line over the cap was, as far as its beginning tells.
///
/// The line was never kept whole, so that it cannot be parsed: this looks at the names of its outermost members, and at
/// `jobId` inside `params`. What is nested deeper is content, and content may say anything.
enum OverlongLine: Equatable {
  /// The answer to a request: whoever sent it has ended what was asked for.
  case response(Int64)
  /// A notification, of that job when it says so early enough.
  case notification(jobID: String?)
  case unknown

  init(_ prefix: [UInt8]) {
    var scanner = Scanner(bytes: prefix)
    scanner.run()
    if scanner.isNotification {
      self = .notification(jobID: scanner.jobID)
    } else if let id = scanner.id {
      self = .response(id)
    } else {
      self = .unknown
    }
  }

  private struct Scanner {
    let bytes: [UInt8]
    var at = 0
    var depth = 0
    /// Last outermost name.
    var outer = ""
    var isNotification = false
    var id: Int64?
    var jobID: String?

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func run() {
      while at < bytes.count {
        switch bytes[at] {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          depth += 1
          at += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
          depth -= 1
          at += 1
        case UInt8(ascii: "\""):
          guard let text = string() else { return }
          skipSpace()
          guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { continue }
          at += 1
          skipSpace()
          member(text)
        default: at += 1
        }
      }
    }

    private mutating func member(_ name: String) {
      if depth == 1 {
        outer = name
        if name == "method" || name == "params" { isNotification = true }
        if name == "id" { id = number() }
      } else if depth == 2, outer == "params", name == "jobId", at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
        jobID = string()
      }
    }

    /// The string that begins here, without its escapes resolved; nil when it does not end.
    private mutating func string() -> String? {
      let start = at + 1
      at = start
      while at < bytes.count {
        if bytes[at] == UInt8(ascii: "\\") {
          at += 2
        } else if bytes[at] == UInt8(ascii: "\"") {
          defer { at += 1 }
          return String(decoding: bytes[start..<at], as: UTF8.self)
        } else {
          at += 1
        }
      }
      return nil
    }

    /// A whole number that has ended.
    private mutating func number() -> Int64? {
      let start = at
      while at < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[at]) { at += 1 }
      return at < bytes.count ? Int64(String(decoding: bytes[start..<at], as: UTF8.self)) : nil
    }

    private mutating func skipSpace() {
      while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x09 || bytes[at] == 0x0D { at += 1 }
    }
  }
}
