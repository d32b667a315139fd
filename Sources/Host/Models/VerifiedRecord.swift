import PluginProtocol

/// Which files of a model were found right, and what they looked like then: `.verified.json` in the model's directory.
///
/// A file whose size, time and inode are still the same need not be read again.
struct VerifiedRecord: Sendable {
  static let filename = ".verified.json"

  struct File: Sendable, Equatable {
    var stamp: FileStamp
    var sha256: String
  }
  /// By the name on disk.
  var files: [String: File] = [:]

  /// Reads the record of a directory; an absent or unreadable one is empty, which only costs a check.
  init(directory: String) {
    guard let bytes = SmallFile.read("\(directory)/\(Self.filename)"), let json = try? JSONValue(parsing: bytes),
      let files = json["files"]?.object
    else { return }
    for (name, value) in files {
      guard let size = value["size"]?.int, let modified = value["modified"]?.int, let inode = value["inode"]?.uint,
        let sha256 = value["sha256"]?.string
      else { continue }
      self.files[name] = File(
        stamp: FileStamp(size: size, modified: modified, inode: inode), sha256: sha256)
    }
  }

  func write(directory: String) throws(ModelError) {
    let members = files.mapValues { file -> JSONValue in
      [
        "size": .int(file.stamp.size), "modified": .int(file.stamp.modified), "inode": JSONValue(file.stamp.inode),
        "sha256": .string(file.sha256),
      ]
    }
    let json: JSONValue = ["files": .object(members)]
    try SmallFile.write(json.bytes, to: "\(directory)/\(Self.filename)")
  }
}
