import PluginProtocol

/// Takes out of a frame what a trace is not to keep: what is secret by its name, the contents of `data:` URLs and, unless
/// all is wanted, what is long.
package struct TraceRedaction: Sendable {
  /// Bytes that are kept of a text.
  package static let textBytes = 256
  package static let mark = "[redacted]"

  /// Keeps long texts and `data:` URLs whole (`STOKER_TRACE_FULL=1`). Secrets are never kept.
  package var keepsTexts: Bool

  package init(keepsTexts: Bool) { self.keepsTexts = keepsTexts }

  /// The frame, and whether a text or a `data:` URL was shortened.
  package func apply(_ value: JSONValue) -> (value: JSONValue, isCut: Bool) {
    var isCut = false
    return (apply(value, &isCut), isCut)
  }

  private func apply(_ value: JSONValue, _ isCut: inout Bool) -> JSONValue {
    switch value {
    case .object(let members):
      var out: [String: JSONValue] = [:]
      out.reserveCapacity(members.count)
      for (name, member) in members {
        out[name] =
          TraceRedaction.isSecret(name) && !member.isNull
          ? .string(TraceRedaction.mark) : apply(member, &isCut)
      }
      return .object(out)
    case .array(let elements):
      var out: [JSONValue] = []
      out.reserveCapacity(elements.count)
      for element in elements { out.append(apply(element, &isCut)) }
      return .array(out)
    case .string(let text): return .string(apply(text, &isCut))
    default: return value
    }
  }

  private func apply(_ text: String, _ isCut: inout Bool) -> String {
    guard !keepsTexts else { return text }
    if text.prefix(5).lowercased() == "data:", let comma = text.utf8.prefix(256).firstIndex(of: UInt8(ascii: ",")) {
      isCut = true
      return "\(text[..<comma]),\(TraceRedaction.mark)"
    }
    let size = text.utf8.count
    guard size > TraceRedaction.textBytes else { return text }
    isCut = true
    var kept = String.UnicodeScalarView()
    var used = 0
    for scalar in text.unicodeScalars {
      used += UTF8.width(scalar)
      guard used <= TraceRedaction.textBytes else { break }
      kept.append(scalar)
    }
    return "\(String(kept))… [\(size) bytes]"
  }

  /// Whether what has this name is not to be shown: `apiKey`, `hf_token`, `Authorization`, `clientSecret` … but not
  /// `maxTokens`.
  package static func isSecret(_ name: String) -> Bool {
    let plain = name.lowercased().filter { $0.isLetter || $0.isNumber }
    return secretParts.contains { plain.contains($0) } || secretEndings.contains { plain.hasSuffix($0) }
  }

  private static let secretParts = [
    "secret", "password", "passphrase", "apikey", "authorization", "credential", "passwd", "bearer",
  ]
  private static let secretEndings = ["token", "cookie", "privatekey", "accesskey"]
}
