/// Why an artifact was not taken.
package struct ArtifactError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: Sendable, Equatable {
    /// The engine's fault.
    case badArtifact
    /// No room: the disk or a quota of the file system.
    case resource
  }
  package var kind: Kind
  /// The declared name, made printable and cut.
  package var name: String
  package var reason: String

  init(_ kind: Kind, name: String, _ reason: String) {
    self.kind = kind
    let scalars = name.unicodeScalars.prefix(64).map { $0.value < 0x20 || $0.value == 0x7F ? "\u{FFFD}" : $0 }
    self.name = String(String.UnicodeScalarView(scalars)) + (name.unicodeScalars.count > 64 ? "…" : "")
    self.reason = reason
  }

  package var description: String { name.isEmpty ? reason : "artifact \"\(name)\": \(reason)" }

  /// The job's failure with the class a job shows: `bad_artifact` or `resource`.
  package var failure: JobFailure {
    JobFailure(errorClass: kind == .badArtifact ? "bad_artifact" : "resource", message: description)
  }
}

/// The rule for names of artifacts.
enum ArtifactName {
  /// What is wrong with a name, or nil when it is one plain component: 1 to 255 bytes, no `/`, no control characters,
  /// no leading dot.
  static func fault(in name: String) -> String? {
    let bytes = name.utf8
    if bytes.isEmpty { return "the name is empty" }
    if bytes.count > 255 { return "the name has \(bytes.count) bytes; 255 are allowed" }
    if bytes.first == UInt8(ascii: ".") { return "the name begins with a dot" }
    if bytes.contains(UInt8(ascii: "/")) { return "the name contains a slash; only plain names are allowed" }
    // C0, DEL and C1: none of them may reach a terminal or a path.
    if name.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }) {
      return "the name contains a control character"
    }
    return nil
  }
}

/// How much one attempt may hand over.
package struct ArtifactLimits: Sendable, Equatable {
  package var maxFiles: Int
  /// Of all files together.
  package var maxBytes: Int64

  package init(maxFiles: Int = 1000, maxBytes: Int64 = 16 << 30) {
    self.maxFiles = maxFiles
    self.maxBytes = maxBytes
  }
}

extension ArtifactLimits {
  /// Fails when a work directory holds more than one attempt may make. What the host put there itself does not count.
  func check(_ workDirectory: String) throws(ArtifactError) {
    let extent = FileTree.extent(of: workDirectory, maxEntries: maxFiles) { name in
      name.hasPrefix(InputStage.inputPrefix) || name == InputStage.taskName
    }
    guard extent.entries <= maxFiles else {
      throw ArtifactError(
        .badArtifact, name: "", "the work directory holds more than the \(maxFiles) files that a job may make")
    }
    guard extent.bytes <= maxBytes else {
      throw ArtifactError(
        .badArtifact, name: "",
        "the work directory holds \(extent.bytes) bytes, and a job may make \(maxBytes)")
    }
  }
}
