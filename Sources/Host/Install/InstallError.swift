/// Why a plugin was not installed or removed: one sentence that says what to do.
package struct InstallError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: String, Sendable {
    /// What was asked for cannot be meant.
    case usage
    /// The archive or directory is not one that is taken.
    case refused
    /// Its digest or signature is missing or wrong.
    case untrusted
    /// A plugin of that name is there already.
    case exists
    case failed
  }
  package let kind: Kind
  package let description: String

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
