/// Makes a frame of the wire fit to be shown: without tasks, settings, texts and results, of which only the size is told.
///
/// Works on the beginning of a frame as well as on a whole one, and on whatever an engine sends: it looks at tokens alone,
/// and what is not JSON passes as it is. Long strings are cut, under whatever name they come.
package enum WireRedaction {
  /// Names whose values are not shown.
  static let hidden: Set<String> = [
    "task", "config", "environment", "options", "output", "text", "data", "inputs", "messages", "prompt",
  ]
  /// Bytes shown of a string.
  static let stringBytes = 96

  package static func redact(_ frame: [UInt8]) -> String {
    let first = frame.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }
    guard first == UInt8(ascii: "{") || first == UInt8(ascii: "[") else {
      return String(decoding: frame, as: UTF8.self)
    }
    var out: [UInt8] = []
    out.reserveCapacity(frame.count)
    var at = 0
    while at < frame.count {
      guard frame[at] == UInt8(ascii: "\"") else {
        out.append(frame[at])
        at += 1
        continue
      }
      let start = at
      at = endOfString(frame, from: start)
      let colon = skipSpace(frame, from: at)
      guard colon < frame.count, frame[colon] == UInt8(ascii: ":") else {
        append(string: frame[start..<at], to: &out)
        continue
      }
      out += frame[start..<at]
      out.append(UInt8(ascii: ":"))
      let name = String(decoding: frame[(start + 1)..<(at - 1)], as: UTF8.self)
      at = skipSpace(frame, from: colon + 1)
      // Nobody needs escapes to write these names.
      guard hidden.contains(name) || name.utf8.contains(UInt8(ascii: "\\")) || TraceRedaction.isSecret(name) else {
        continue
      }
      let end = endOfValue(frame, from: at)
      // Of one that goes on behind the end of what is here nothing is known.
      out += Array((end < frame.count ? "\"[hidden: \(end - at) bytes]\"" : "\"[hidden]\"").utf8)
      at = end
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func append(string: ArraySlice<UInt8>, to out: inout [UInt8]) {
    guard string.count > stringBytes else {
      out += string
      return
    }
    out += string.prefix(stringBytes)
    out += Array("… [\(string.count - 2) bytes]\"".utf8)
  }

  private static func skipSpace(_ bytes: [UInt8], from start: Int) -> Int {
    var at = start
    while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x09 || bytes[at] == 0x0D { at += 1 }
    return at
  }

  /// The index behind a string's closing quote, or the end.
  private static func endOfString(_ bytes: [UInt8], from start: Int) -> Int {
    var at = start + 1
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "\\") {
        at += 2
        continue
      }
      at += 1
      if bytes[at - 1] == UInt8(ascii: "\"") { return at }
    }
    return bytes.count
  }

  /// The index behind a value of any kind, or the end.
  private static func endOfValue(_ bytes: [UInt8], from start: Int) -> Int {
    var at = start
    var depth = 0
    while at < bytes.count {
      switch bytes[at] {
      case UInt8(ascii: "\""):
        at = endOfString(bytes, from: at)
        if depth == 0 { return at }
        continue
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        // Of the object around it, when the value was a number or a name.
        if depth < 0 { return at }
        if depth == 0 { return at + 1 }
      case UInt8(ascii: ",") where depth == 0: return at
      default: break
      }
      at += 1
    }
    return bytes.count
  }
}
