/// Why something about a model could not be done: what, where and what to do, in one sentence.
package struct ModelError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What a caller may want to tell apart.
  package enum Kind: String, Sendable {
    /// No catalogue entry and no file beneath the models directory has that id.
    case unknownModel
    /// A kind of job for which nothing is fetched by default.
    case noDefault
    /// The entry itself cannot be used: bad id, filename, URL or package name.
    case badEntry
    /// Known, but its files are not on this machine yet.
    case notPresent
    /// Files are there and are not what the entry says.
    case damaged
    /// An engine holds the model.
    case inUse
    /// A URL that the rules forbid: neither https nor loopback.
    case refusedURL
    /// The server could not be reached, or the connection broke.
    case network
    /// No byte arrived for the stall time.
    case stalled
    /// The server answered something a download cannot use.
    case badResponse
    /// The length differs from what the entry or the server declared.
    case lengthMismatch
    /// The SHA-256 differs from the entry's.
    case hashMismatch
    /// Not enough room.
    case diskFull
    /// pip or Python is missing.
    case toolMissing
    /// pip or Python ran and failed.
    case toolFailed
    /// A file operation failed.
    case fileSystem
  }

  package let kind: Kind
  package let message: String

  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  package var description: String { message }
}
