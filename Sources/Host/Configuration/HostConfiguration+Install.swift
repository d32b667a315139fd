import FoundationEssentials
import PluginProtocol

/// `install`: what `stoker plugins install` asks of an archive before it is unpacked.
package struct InstallConfiguration: Sendable, Equatable {
  package enum Requirement: String, CaseIterable, Sendable {
    case none
    /// Whoever installs must say which SHA-256 the archive has; a good signature says more.
    case sha256
    /// One of ``InstallConfiguration/keys`` must have signed the archive.
    case signature
  }
  /// Default: none.
  package var require = Requirement.none
  /// Ed25519 public keys, 32 bytes each, in base64 as in the file. Default: none.
  package var keys: [String] = []

  /// The key's bytes; nil for text that is no such key. Any 32 bytes are one (RFC 8032).
  static func key(_ text: String) -> Data? {
    guard let data = Data(base64Encoded: text), data.count == 32 else { return nil }
    return data
  }

  static func decode(_ fields: YAMLFields) -> InstallConfiguration {
    var install = InstallConfiguration()
    install.require = fields.choice("require", Requirement.self) ?? install.require
    install.keys =
      fields.list("keys", of: "public keys") { node -> String? in
        guard case .string(let text)? = node.scalar, key(text) != nil else {
          fields.collector.mismatch(
            fields.place("keys"), expected: "an Ed25519 public key: 32 bytes in base64", node)
          return nil
        }
        return text
      } ?? install.keys
    if install.require == .signature, install.keys.isEmpty {
      fields.error("require", "signature needs the public keys that may have signed; add them under 'keys'")
    }
    return install
  }

  var json: JSONValue { ["require": .string(require.rawValue), "keys": JSONValue(keys)] }
}
