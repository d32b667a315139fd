import Crypto
import FoundationEssentials
import Glibc

/// What whoever installs an archive brings to prove it, and whether that is enough for the operator.
struct PackageProof {
  /// SHA-256 in hex, as given.
  var sha256: String?
  /// The signature's bytes as they were found: 64 of them, or their base64 text.
  var signature: [UInt8]?

  /// Judges an archive before anything of it is unpacked.
  ///
  /// - Parameter path: a file that nobody else can change.
  /// - Throws: `InstallError` of kind `untrusted`.
  func check(_ path: String, _ policy: InstallConfiguration) throws {
    let needed = try self.needed(policy)
    let isSigned = try signature.map { try checkSignature($0, path, policy) } ?? false
    let actual = try Plugin.sha256(of: path).text
    if let sha256 {
      guard sha256.lowercased() == actual else {
        throw InstallError(
          .untrusted, "the archive has the SHA-256 \(actual), not \(sha256.lowercased()): it is not what was meant")
      }
    }
    switch needed {
    case .none: break
    case .sha256:
      guard sha256 != nil || isSigned else {
        throw InstallError(
          .untrusted,
          "the configuration (install.require) wants the archive's SHA-256: give the one its author publishes with "
            + "--sha256 HEX")
      }
    case .signature:
      guard isSigned else {
        throw InstallError(
          .untrusted, "the configuration (install.require) wants a signature: give its file with --signature FILE")
      }
    }
  }

  /// A directory has no bytes that could be signed.
  static func checkDirectory(_ policy: InstallConfiguration) throws(InstallError) {
    guard policy.require == .none else {
      throw InstallError(
        .untrusted,
        "the configuration (install.require) wants a \(policy.require.rawValue), which a directory cannot have: "
          + "install its archive (tar -czf)")
    }
  }

  private func needed(_ policy: InstallConfiguration) throws(InstallError) -> InstallConfiguration.Requirement {
    if let sha256 {
      guard sha256.utf8.count == 64, sha256.allSatisfy(\.isHexDigit) else {
        throw InstallError(.usage, "--sha256 must be 64 hex digits")
      }
    }
    return policy.require
  }

  private func checkSignature(_ bytes: [UInt8], _ path: String, _ policy: InstallConfiguration) throws -> Bool {
    let keys = policy.keys.compactMap {
      InstallConfiguration.key($0).flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }
    }
    guard !keys.isEmpty else {
      throw InstallError(
        .untrusted, "there is no key to check the signature with: add the author's under install.keys in config.yaml")
    }
    let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    let raw = bytes.count == 64 ? Data(bytes) : Data(base64Encoded: text) ?? Data()
    guard raw.count == 64 else {
      throw InstallError(.untrusted, "the signature is not an Ed25519 one: 64 bytes, or their base64")
    }
    let isGood = try withContents(path) { contents in
      keys.contains { $0.isValidSignature(raw, for: contents) }
    }
    guard isGood else {
      throw InstallError(
        .untrusted,
        "no key of install.keys made this signature for this archive: one of the two was changed, or it is somebody else's"
      )
    }
    return true
  }

  /// The file's bytes, mapped: Ed25519 reads its message twice.
  private func withContents<Value>(_ path: String, _ body: (UnsafeRawBufferPointer) -> Value) throws -> Value {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw InstallError(.failed, "cannot read \(path): \(errorText(errno))") }
    defer { close(descriptor) }
    let size = Int(try FileCopy.size(descriptor))
    guard size > 0, let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw InstallError(.failed, "cannot read \(path): \(errorText(size == 0 ? EINVAL : errno))")
    }
    defer { munmap(address, size) }
    return body(UnsafeRawBufferPointer(start: address, count: size))
  }
}
