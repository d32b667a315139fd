import Crypto
import PluginProtocol

/// A SHA-256 digest and the ways in which results are made of it.
struct Fingerprint: Sendable {
  /// 32 bytes.
  let bytes: [UInt8]

  /// The digest of `parts`, one after the other with nothing in between.
  init(of parts: some Sequence<String>) {
    var hash = SHA256()
    for part in parts {
      var part = part
      part.withUTF8 { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
    }
    bytes = Array(hash.finalize())
  }

  init(of data: [UInt8]) {
    bytes = Array(SHA256.hash(data: data))
  }

  /// The digest of a whole task of a kind.
  ///
  /// What does not belong to the picture is left out: the container's format, the options for trials, `kind` (which
  /// some senders repeat inside the task) and members that are null.
  init(task: JSONValue, kind: String, without trialKeys: Set<String>) {
    let members = (task.object ?? [:]).filter { !trialKeys.contains($0.key) }
    self.init(of: [kind, "\n", JSONValue.compact(members).text])
  }

  /// All 64 hexadecimal digits, lower case.
  var hex: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// The first 16 hexadecimal digits, by which texts are told apart.
  var short: String { String(hex.prefix(16)) }

  /// `count` bytes that follow from the digest, the digest itself not among them.
  func stream(_ count: Int) -> [UInt8] {
    var out: [UInt8] = []
    var block: UInt8 = 0
    while out.count < count {
      out += Fingerprint(of: bytes + [block]).bytes
      block &+= 1
    }
    return Array(out.prefix(count))
  }
}
