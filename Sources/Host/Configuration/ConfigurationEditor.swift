import Glibc
import PluginProtocol

/// Sets single values in a configuration file and leaves everything else in it, comments and order included, as its
/// author wrote it.
///
/// An edit is made to the text and then read back: unless exactly the wanted value has changed, and the result is a
/// valid configuration, nothing is written.
package enum ConfigurationEditor {
  /// Why a value was not set.
  package struct EditError: Error, Sendable, Equatable, CustomStringConvertible {
    package let message: String

    package var description: String { message }
  }

  /// The text with `value` at the dotted `key`.
  ///
  /// - Parameters:
  ///   - key: names separated by dots; a name of other characters than letters, digits, `-` and `_` in double quotes.
  ///   - value: as one would write it in the file: `5`, `10s`, `true`, `[a, b]`. Text that is not valid YAML by itself
  ///     is taken as it is.
  ///   - file: how the file is named in errors.
  package static func set(
    _ key: String, to value: String, in text: String, file: String
  ) throws(EditError) -> String {
    guard let path = ConfigurationKey.names(key) else {
      throw EditError(
        message: "\(key.quotedForMessage) is not a key; write names separated by dots, such as jobs.maxQueued, and in "
          + "double quotes what is no plain name, such as residency.\"*.gguf\".pin")
    }
    let root = try parse(text, file)
    let wanted = try interpret(value)
    let edited = try splice(wanted.yamlFlowText, at: path, root: root, text: text, file: file)
    let expected = merge(root.isNull ? [:] : root.json, path[...], wanted)
    guard let result = try? YAMLNode(parsing: Array(edited.utf8), file: file), result.json == expected else {
      throw EditError(message: "\(file): '\(key)' cannot be set without rewriting the file; edit it by hand")
    }
    do throws(SourceDiagnostics) {
      _ = try HostConfiguration.decode(Array(edited.utf8), file: file)
    } catch {
      throw EditError(message: "not set, because the file would be wrong:\n\(error)")
    }
    return edited
  }

  /// Sets a value in the file, which is created when absent. Written to a new file that then takes the old one's place,
  /// so that a reader sees either; a symbolic link stays one.
  package static func set(_ key: String, to value: String, inFile file: String) throws(EditError) {
    var bytes: [UInt8] = []
    var mode: UInt32 = 0o600
    do {
      let contents = try SafeFile.read(file, maxBytes: YAMLLimits.configuration.bytes)
      bytes = contents.bytes
      mode = contents.identity.mode
    } catch {
      guard error.reason == .notFound else { throw EditError(message: error.description) }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw EditError(message: "\(file): not UTF-8 text; save the file as UTF-8")
    }
    let edited = try set(key, to: value, in: text, file: file)
    guard edited != text else { return }
    let target = (try? FilePath.resolve(file).get()) ?? file
    try replace(target, with: Array(edited.utf8), mode: mode)
  }

  private static func parse(_ text: String, _ file: String) throws(EditError) -> YAMLNode {
    do throws(YAMLError) {
      return try YAMLNode(parsing: Array(text.utf8), file: file)
    } catch {
      throw EditError(message: "not set, because the file is wrong already:\n\(error)")
    }
  }

  private static func interpret(_ value: String) throws(EditError) -> JSONValue {
    guard !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
      throw EditError(message: "the value holds control characters; write it on one line")
    }
    guard let node = try? YAMLNode(parsing: Array(value.utf8), file: "value") else { return .string(value) }
    // `a # b` is the text with its comment, to somebody who writes it on a command line.
    if case .scalar(let text, true) = node.content, text != value { return .string(value) }
    return node.json
  }

  private static func merge(_ tree: JSONValue, _ path: ArraySlice<String>, _ value: JSONValue) -> JSONValue {
    guard let key = path.first else { return value }
    var members = tree.object ?? [:]
    members[key] = merge(members[key] ?? .null, path.dropFirst(), value)
    return .object(members)
  }

  private static func replace(_ path: String, with bytes: [UInt8], mode: UInt32) throws(EditError) {
    let temporary = "\(path).\(getpid()).new"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else {
      throw EditError(message: "cannot write \(temporary): \(String(cString: strerror(errno)))")
    }
    var written = 0
    var isWhole = true
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        isWhole = false
        break
      }
      written += count
    }
    isWhole = isWhole && fsync(descriptor) == 0
    isWhole = close(descriptor) == 0 && isWhole
    isWhole = isWhole && rename(temporary, path) == 0
    guard isWhole else {
      let code = errno
      unlink(temporary)
      throw EditError(message: "cannot write \(path): \(String(cString: strerror(code))); it is unchanged")
    }
  }
}
