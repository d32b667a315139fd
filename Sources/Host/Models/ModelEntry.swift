import PluginProtocol

/// One model of the catalogue: what it is, which engine reads it, and where its files come from.
package struct ModelEntry: Sendable, Hashable {
  /// Letters, digits and `._:-`, 1 to 128 of them.
  package var id: String
  package var kind: JobKind
  /// The engine family that reads the files, as in a manifest's `modelEngine`: `llama-cpp`, `whisper-cpp` …
  package var engine: String
  /// For people: where the model is described.
  package var source: String?
  /// SPDX identifier of the weights' licence.
  package var license: String?
  package var files: [CatalogueFile]
  /// Handed to the engine with `model/load`, as it stands.
  package var options: JSONValue

  package init(
    id: String, kind: JobKind, engine: String, source: String? = nil, license: String? = nil, files: [CatalogueFile],
    options: JSONValue = [:]
  ) {
    self.id = id
    self.kind = kind
    self.engine = engine
    self.source = source
    self.license = license
    self.files = files
    self.options = options
  }

  /// Sum of the files' sizes, or nil when one is not declared.
  package var declaredBytes: Int64? {
    var sum: Int64 = 0
    for file in files {
      guard let bytes = file.bytes else { return nil }
      sum += bytes
    }
    return sum
  }
}

/// One file of a model.
package struct CatalogueFile: Sendable, Hashable {
  /// What the file is to the engine: `model`, `projector`, `vae` …
  package var role: String
  package var source: ModelFileSource
  /// One plain path component; the name under which the file is kept.
  package var filename: String
  /// Lower-case hexadecimal SHA-256 of the content, when known.
  package var sha256: String?
  /// Size in bytes, when known; nothing larger is ever written.
  package var bytes: Int64?

  package init(role: String, source: ModelFileSource, filename: String, sha256: String? = nil, bytes: Int64? = nil) {
    self.role = role
    self.source = source
    self.filename = filename
    self.sha256 = sha256?.lowercased()
    self.bytes = bytes
  }
}
