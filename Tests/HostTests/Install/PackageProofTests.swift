import Crypto
import Foundation
import Testing

@testable import Host

@Suite struct PackageProofTests {
  private let scratch: ScratchPlugins
  private let archive: String
  private let key = Curve25519.Signing.PrivateKey()

  init() throws {
    scratch = try ScratchPlugins()
    archive = FilePath.join(scratch.path, "archive")
    try scratch.write("an archive", to: archive)
  }

  private func policy(_ require: InstallConfiguration.Requirement, hasKey: Bool = true) -> InstallConfiguration {
    var policy = InstallConfiguration()
    policy.require = require
    if hasKey { policy.keys = [key.publicKey.rawRepresentation.base64EncodedString()] }
    return policy
  }

  private func problem(_ proof: PackageProof, _ policy: InstallConfiguration) -> String? {
    do {
      try proof.check(archive, policy)
      return nil
    } catch { return "\(error)" }
  }

  @Test func whatIsRequiredMustBeThereAndRight() throws {
    let digest = try Plugin.sha256(of: archive).text
    let signature = Array(try key.signature(for: Data("an archive".utf8)))
    let foreign = Array(try Curve25519.Signing.PrivateKey().signature(for: Data("an archive".utf8)))
    #expect(problem(PackageProof(), policy(.none)) == nil)
    #expect(problem(PackageProof(sha256: digest.uppercased()), policy(.sha256)) == nil)
    #expect(problem(PackageProof(signature: signature), policy(.sha256)) == nil)
    #expect(problem(PackageProof(signature: signature), policy(.signature)) == nil)
    let text = Array(Data(signature).base64EncodedString().utf8) + [10]
    #expect(problem(PackageProof(signature: text), policy(.signature)) == nil)
    #expect(problem(PackageProof(), policy(.sha256))?.contains("wants the archive's SHA-256") == true)
    #expect(problem(PackageProof(sha256: digest), policy(.signature))?.contains("wants a signature") == true)
    // What is given is checked, also where nothing is required.
    let zeros = String(repeating: "0", count: 64)
    #expect(problem(PackageProof(sha256: zeros), policy(.none))?.contains("not what was meant") == true)
    #expect(problem(PackageProof(sha256: zeros, signature: signature), policy(.signature)) != nil)
    #expect(problem(PackageProof(signature: foreign), policy(.none))?.contains("somebody else's") == true)
    #expect(problem(PackageProof(signature: [1, 2]), policy(.none))?.contains("not an Ed25519 one") == true)
    #expect(problem(PackageProof(signature: signature), policy(.none, hasKey: false))?.contains("no key") == true)
    #expect(problem(PackageProof(sha256: "12"), policy(.none))?.contains("64 hex digits") == true)
  }

  @Test func theConfigurationNamesKeys() throws {
    let good = key.publicKey.rawRepresentation.base64EncodedString()
    let decode = { (text: String) in try HostConfiguration.decode(Array(text.utf8), file: "config.yaml").configuration }
    #expect(try decode("install: {require: signature, keys: [\"\(good)\"]}").install == policy(.signature))
    #expect(throws: SourceDiagnostics.self) { try decode("install: {require: signature}") }
    #expect(throws: SourceDiagnostics.self) { try decode("install: {keys: [\"AAAA\"]}") }
    #expect(throws: SourceDiagnostics.self) { try decode("install: {require: sha1}") }
  }
}
